// Deletes a sample, polls it to its end, lists what is deleted, erases a user and reads the receipt, with a client that
// is generated from openapi/openapi.json.
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
	kind := lethe.EntityTypeSample
	list, err := client.ListDeletedWithResponse(ctx, &lethe.ListDeletedParams{EntityType: &kind})
	if err != nil {
		return err
	}
	if list.JSON200 == nil {
		return fmt.Errorf("list: %s", list.Body)
	}
	for _, item := range list.JSON200.Items {
		if item.Id == sample.String() {
			return fmt.Errorf("the sample %s is still there", sample)
		}
	}
	return nil
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
