import com.fasterxml.jackson.core.JsonProcessingException;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.function.Predicate;
import lethe.ApiClient;
import lethe.ApiException;
import lethe.api.AdminApi;
import lethe.api.SamplesApi;
import lethe.model.ErasureStatus;
import lethe.model.PauseReason;
import lethe.model.Problem;
import lethe.model.ProblemCode;
import lethe.model.TaskStatus;

/**
 * Deletes a sample, restores it, deletes it for good, erases its user and reads the receipt, with a client that is
 * generated from openapi/openapi.json.
 */
public final class Story {
    /** Polls are a tenth of a second apart; 300 of them are 30 seconds. */
    private static final int MAX_POLLS = 300;

    private final ApiClient client = new ApiClient();
    private final AdminApi admin;
    private final SamplesApi samples;

    private Story(String url, String token) {
        client.updateBaseUri(url);
        client.setRequestInterceptor(request -> request.header("Authorization", "Bearer " + token));
        admin = new AdminApi(client);
        samples = new SamplesApi(client);
    }

    public static void main(String[] args) throws Exception {
        var story = new Story(setting("BASE_URL"), setting("ADMIN_TOKEN"));
        story.deleteSample(UUID.fromString(setting("SAMPLE_ID")));
        story.askForNoTask();
        story.eraseUser(setting("USER_ID"));
    }

    private void deleteSample(UUID sample) throws Exception {
        // While claiming is paused, the deletion waits and can be taken back.
        var paused = admin.pause(new PauseReason().reason("a test of the generated client"));
        check(paused.getPaused(), "it is not paused");
        var first = samples.deleteSample(sample);
        check(first.getStatus() == TaskStatus.PENDING, "the task is " + first.getStatus());
        check(isListed(sample), "the sample is not listed");
        var restored = samples.restoreSample(sample);
        check(restored.getId().equals(sample) && !isListed(sample), "the sample is not restored");

        var task = samples.deleteSample(sample);
        System.out.printf("task %s: %s of %s%n", task.getId(), task.getKind(), task.getEntityId());
        admin.resume(new PauseReason().reason("the test is over"));
        eventually(() -> samples.getSampleDeletion(sample), found -> found.getStatus() == TaskStatus.COMPLETED);
        check(!isListed(sample), "the sample is still there");
    }

    /** Whether the sample is in the list of what is deleted and not purged yet. */
    private boolean isListed(UUID sample) throws ApiException {
        var id = sample.toString();
        var page = admin.listDeleted("sample", id, null, null, null, null, null, null, null);
        return page.getItems().stream().anyMatch(item -> item.getId().equals(id));
    }

    private void askForNoTask() throws ApiException {
        try {
            admin.getTask("999999999");
        } catch (ApiException refusal) {
            check(refusal.getCode() == 404, refusal.getMessage());
            check(problem(refusal).getCode() == ProblemCode.TASK_NOT_FOUND, refusal.getResponseBody());
            return;
        }
        throw new IllegalStateException("there is such a task");
    }

    /** The generator leaves the body of a failure as text; its type is in the document all the same. */
    private Problem problem(ApiException refusal) {
        try {
            return client.getObjectMapper().readValue(refusal.getResponseBody(), Problem.class);
        } catch (JsonProcessingException error) {
            throw new IllegalStateException(error);
        }
    }

    private void eraseUser(String user) throws Exception {
        var erasure = admin.eraseUser(user, "a test of the generated client");
        check(erasure.getUserKnown(), "nobody knows " + user);
        var receipt = eventually(() -> admin.getErasure(user), found -> found.getStatus() == ErasureStatus.COMPLETE);
        var complete = admin.listErasures(ErasureStatus.COMPLETE, null, null, null, null, null).getItems();
        check(complete.stream().anyMatch(item -> item.getUserId().equals(user)), "the erasure is not listed");
        System.out.printf(
                "%s: %s, %d objects, by %s%n",
                user, receipt.getStatus(), receipt.getObjectsDeleted(), receipt.getRequestedBy());
    }

    /** Asks again until the answer is the one waited for. */
    private static <T> T eventually(Callable<T> ask, Predicate<T> isDone) throws Exception {
        for (int tries = 0; tries < MAX_POLLS; tries++) {
            T answer = ask.call();
            if (isDone.test(answer)) {
                return answer;
            }
            Thread.sleep(100);
        }
        throw new IllegalStateException("waited in vain");
    }

    private static String setting(String name) {
        return Objects.requireNonNull(System.getenv(name), name + " is not set");
    }

    private static void check(boolean isTrue, String otherwise) {
        if (!isTrue) {
            throw new IllegalStateException(otherwise);
        }
    }
}
