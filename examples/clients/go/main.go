// Deletes a sample, restores it, deletes it for good, erases its user and reads the receipt, with a client that is
// generated from openapi/openapi.json.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/google/uuid"

	"lethe.example/client/lethe"
)

// Polls are a tenth of a second apart; 300 of them are 30 seconds.
const maxPolls = 300

func main() {
	if err := story(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func story(ctx context.Context) error {
	token := os.Getenv("ADMIN_TOKEN")
	authorize := func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+token)
		return nil
	}
	client, err := lethe.NewClientWithResponses(os.Getenv("BASE_URL"), lethe.WithRequestEditorFn(authorize))
	if err != nil {
		return err
	}
	sample, err := uuid.Parse(os.Getenv("SAMPLE_ID"))
	if err != nil {
		return err
	}
	if err := restoreSample(ctx, client, sample); err != nil {
		return err
	}
	if err := deleteSample(ctx, client, sample); err != nil {
		return err
	}
	missing, err := client.RetryTaskWithResponse(ctx, "999999999", lethe.Retry{Reason: "there is no such task"})
	if err != nil {
		return err
	}
	if problem := missing.ApplicationproblemJSON404; problem == nil || problem.Code != lethe.ProblemCodeTaskNotFound {
		return fmt.Errorf("retry of no task: %s", missing.Body)
	}
	return eraseUser(ctx, client, os.Getenv("USER_ID"))
}

// restoreSample deletes the sample while claiming is paused, so that the deletion waits, and takes it back.
func restoreSample(ctx context.Context, client *lethe.ClientWithResponses, sample uuid.UUID) error {
	paused, err := client.PauseWithResponse(ctx, lethe.PauseReason{Reason: "a test of the generated client"})
	if err != nil {
		return err
	}
	if paused.JSON200 == nil || !paused.JSON200.Paused {
		return fmt.Errorf("pause: %s", paused.Body)
	}
	deleted, err := client.DeleteSampleWithResponse(ctx, sample)
	if err != nil {
		return err
	}
	if deleted.JSON202 == nil || deleted.JSON202.Status != lethe.TaskStatusPending {
		return fmt.Errorf("delete: %s", deleted.Body)
	}
	if err := expectListed(ctx, client, sample, true); err != nil {
		return err
	}
	restored, err := client.RestoreSampleWithResponse(ctx, sample)
	if err != nil {
		return err
	}
	if restored.JSON200 == nil || restored.JSON200.Id != sample {
		return fmt.Errorf("restore: %s", restored.Body)
	}
	return expectListed(ctx, client, sample, false)
}

// expectListed looks whether the sample is in the list of what is deleted and not purged yet.
func expectListed(ctx context.Context, client *lethe.ClientWithResponses, sample uuid.UUID, expected bool) error {
	kind, id := "sample", sample.String()
	list, err := client.ListDeletedWithResponse(ctx, &lethe.ListDeletedParams{EntityType: &kind, EntityId: &id})
	if err != nil {
		return err
	}
	if list.JSON200 == nil {
		return fmt.Errorf("list: %s", list.Body)
	}
	if listed := len(list.JSON200.Items) > 0; listed != expected {
		return fmt.Errorf("the sample %s is listed: %t", sample, listed)
	}
	return nil
}

func deleteSample(ctx context.Context, client *lethe.ClientWithResponses, sample uuid.UUID) error {
	deleted, err := client.DeleteSampleWithResponse(ctx, sample)
	if err != nil {
		return err
	}
	if deleted.JSON202 == nil {
		return fmt.Errorf("delete: %s", deleted.Body)
	}
	task := deleted.JSON202
	fmt.Printf("task %s: %s of %s %s\n", task.Id, task.Kind, task.EntityType, task.EntityId)
	resumed, err := client.ResumeWithResponse(ctx, lethe.PauseReason{Reason: "the test is over"})
	if err != nil {
		return err
	}
	if resumed.JSON200 == nil {
		return fmt.Errorf("resume: %s", resumed.Body)
	}
	err = eventually(func() (bool, error) {
		found, err := client.GetSampleDeletionWithResponse(ctx, sample)
		if err != nil {
			return false, err
		}
		if found.JSON200 == nil {
			return false, fmt.Errorf("deletion: %s", found.Body)
		}
		return found.JSON200.Status == lethe.TaskStatusCompleted, nil
	})
	if err != nil {
		return err
	}
	return expectListed(ctx, client, sample, false)
}

func eraseUser(ctx context.Context, client *lethe.ClientWithResponses, user string) error {
	reason := "a test of the generated client"
	erased, err := client.EraseUserWithResponse(ctx, user, &lethe.EraseUserParams{Reason: &reason})
	if err != nil {
		return err
	}
	if erased.JSON202 == nil || !erased.JSON202.UserKnown {
		return fmt.Errorf("erase: %s", erased.Body)
	}
	return eventually(func() (bool, error) {
		found, err := client.GetErasureWithResponse(ctx, user)
		if err != nil {
			return false, err
		}
		receipt := found.JSON200
		if receipt == nil {
			return false, fmt.Errorf("receipt: %s", found.Body)
		}
		if receipt.Status != lethe.ErasureStatusComplete {
			return false, nil
		}
		fmt.Printf("%s: %s, %d objects, by %s\n", user, receipt.Status, receipt.ObjectsDeleted, receipt.RequestedBy)
		return true, nil
	})
}

// eventually asks again until the answer is the one waited for.
func eventually(ask func() (bool, error)) error {
	for range maxPolls {
		done, err := ask()
		if done || err != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("waited in vain")
}
