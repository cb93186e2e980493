// River as a peer; ../PROTOCOL.md says what each verb reads and writes.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

const deleteRows = `with images as (delete from sample_images where sample_id = $1)
	delete from samples where id = $1`

const deleteUser = `with images as (delete from sample_images where sample_id in (select id from samples where user_id = $1)),
	their_samples as (delete from samples where user_id = $1),
	their_collections as (delete from collections where user_id = $1)
	delete from users where id = $1`

const insertBatch = 5_000 // jobs, as in River's own benchmark

// Settings of a case. FetchCooldown, FetchPollInterval and the workers of the queue case are those of
// River's own benchmark (cmd/river/riverbench). The erasure has as many workers as S3 requests in flight.
type settings struct {
	MaxWorkers          int    `json:"MaxWorkers"`
	FetchCooldown       string `json:"FetchCooldown"`
	FetchPollInterval   string `json:"FetchPollInterval"`
	PoolConnections     int32  `json:"pool_connections"`
	Completer           string `json:"completer"`
	fetchCooldown, poll time.Duration
}

func settingsOf(benchCase string) settings {
	s := settings{MaxWorkers: 2_000, fetchCooldown: 2 * time.Millisecond, poll: 20 * time.Millisecond,
		PoolConnections: 25, Completer: "BatchCompleter (default)"}
	switch benchCase {
	case "wake":
		// The wake-up must come from the notification, not from a poll every 20 ms.
		s.poll = river.FetchPollIntervalDefault
	case "erasure", "erasure-users":
		s.MaxWorkers = 64
	}
	s.FetchCooldown, s.FetchPollInterval = s.fetchCooldown.String(), s.poll.String()
	return s
}

type noopArgs struct {
	ID int `json:"id"`
}

func (noopArgs) Kind() string { return "noop" }

type wakeArgs struct {
	ID string `json:"id"`
}

func (wakeArgs) Kind() string { return "wake" }

type eraseArgs struct {
	ID   string   `json:"id"`
	Keys []string `json:"keys"`
}

func (eraseArgs) Kind() string { return "erase" }

type eraseUserArgs struct {
	ID   string   `json:"id"`
	Keys []string `json:"keys"`
}

func (eraseUserArgs) Kind() string { return "erase-user" }

type peer struct {
	pool    *pgxpool.Pool
	s3      *s3.Client
	bucket  string
	handled atomic.Int64
}

func (p *peer) erase(ctx context.Context, job *river.Job[eraseArgs]) error {
	for _, key := range job.Args.Keys {
		if _, err := p.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &p.bucket, Key: &key}); err != nil {
			return err
		}
	}
	if _, err := p.pool.Exec(ctx, deleteRows, job.Args.ID); err != nil {
		return err
	}
	p.handled.Add(1)
	return nil
}

func (p *peer) eraseUser(ctx context.Context, job *river.Job[eraseUserArgs]) error {
	objects := make([]types.ObjectIdentifier, 0, len(job.Args.Keys))
	for _, key := range job.Args.Keys {
		objects = append(objects, types.ObjectIdentifier{Key: &key})
	}
	answer, err := p.s3.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &p.bucket,
		Delete: &types.Delete{Objects: objects, Quiet: aws.Bool(true)}})
	if err != nil {
		return err
	}
	if len(answer.Errors) > 0 {
		return fmt.Errorf("%d objects could not be deleted", len(answer.Errors))
	}
	if _, err := p.pool.Exec(ctx, deleteUser, job.Args.ID); err != nil {
		return err
	}
	p.handled.Add(1)
	return nil
}

func (p *peer) workers() *river.Workers {
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(func(context.Context, *river.Job[noopArgs]) error {
		p.handled.Add(1)
		return nil
	}))
	river.AddWorker(workers, river.WorkFunc(func(_ context.Context, job *river.Job[wakeArgs]) error {
		fmt.Printf("started %s %d\n", job.Args.ID, time.Now().UnixNano())
		return nil
	}))
	river.AddWorker(workers, river.WorkFunc(p.erase))
	river.AddWorker(workers, river.WorkFunc(p.eraseUser))
	return workers
}

func (p *peer) report() {
	last := int64(0)
	for range time.Tick(5 * time.Millisecond) {
		if handled := p.handled.Load(); handled != last {
			last = handled
			fmt.Printf("handled %d\n", handled)
		}
	}
}

func connect(ctx context.Context, connections int32) *pgxpool.Pool {
	conf, err := pgxpool.ParseConfig(os.Getenv("PEER_DATABASE_URL"))
	must(err)
	conf.MaxConns = connections
	pool, err := pgxpool.NewWithConfig(ctx, conf)
	must(err)
	must(pool.Ping(ctx))
	return pool
}

func s3Client(ctx context.Context, connections int) *s3.Client {
	client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConns, t.MaxIdleConnsPerHost = connections, connections
	})
	conf, err := config.LoadDefaultConfig(ctx, config.WithHTTPClient(client))
	must(err)
	return s3.NewFromConfig(conf, func(o *s3.Options) {
		o.BaseEndpoint = aws.String(os.Getenv("PEER_S3_ENDPOINT"))
		o.UsePathStyle = true
	})
}

func work(ctx context.Context, benchCase string) {
	s := settingsOf(benchCase)
	p := &peer{pool: connect(ctx, s.PoolConnections), bucket: os.Getenv("PEER_S3_BUCKET")}
	if benchCase != "queue" && benchCase != "wake" {
		p.s3 = s3Client(ctx, s.MaxWorkers)
	}
	client, err := river.NewClient(riverpgxv5.New(p.pool), &river.Config{
		FetchCooldown:     s.fetchCooldown,
		FetchPollInterval: s.poll,
		Logger:            slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: s.MaxWorkers}},
		Workers:           p.workers(),
	})
	must(err)
	go p.report()
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		must(client.Start(ctx))
		fmt.Println("running")
	}
	must(client.Stop(ctx))
}

// A client without queues only inserts. It notifies at most once in each FetchCooldown (100 ms by default),
// so it gets the workers' figure: one application would share one configuration.
func inserter(ctx context.Context, connections int32) (*pgxpool.Pool, *river.Client[pgx.Tx]) {
	pool := connect(ctx, connections)
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{FetchCooldown: settingsOf("wake").fetchCooldown})
	must(err)
	return pool, client
}

func enqueue(ctx context.Context, count int, args func(int) river.JobArgs) {
	_, client := inserter(ctx, 1)
	for from := 0; from < count; from += insertBatch {
		params := make([]river.InsertManyParams, 0, insertBatch)
		for index := from; index < min(count, from+insertBatch); index++ {
			params = append(params, river.InsertManyParams{Args: args(index)})
		}
		_, err := client.InsertManyFast(ctx, params)
		must(err)
	}
}

func enqueueSamples(ctx context.Context) {
	pool := connect(ctx, 1)
	rows, err := pool.Query(ctx, "select sample_id::text, array_agg(object_key) from sample_images group by sample_id")
	must(err)
	samples, err := pgx.CollectRows(rows, pgx.RowToStructByPos[eraseArgs])
	must(err)
	enqueue(ctx, len(samples), func(index int) river.JobArgs { return samples[index] })
}

func enqueueUsers(ctx context.Context) {
	pool := connect(ctx, 1)
	rows, err := pool.Query(ctx, `select s.user_id, array_agg(i.object_key)
		from sample_images i join samples s on s.id = i.sample_id group by s.user_id`)
	must(err)
	users, err := pgx.CollectRows(rows, pgx.RowToStructByPos[eraseUserArgs])
	must(err)
	enqueue(ctx, len(users), func(index int) river.JobArgs { return users[index] })
}

func enqueueWake(ctx context.Context) {
	pool, client := inserter(ctx, 1)
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		tx, err := pool.Begin(ctx)
		must(err)
		_, err = client.InsertTx(ctx, tx, wakeArgs{ID: lines.Text()}, nil)
		must(err)
		committed := time.Now().UnixNano()
		must(tx.Commit(ctx))
		fmt.Printf("committed %s %d\n", lines.Text(), committed)
	}
}

func migrate(ctx context.Context) {
	migrator, err := rivermigrate.New(riverpgxv5.New(connect(ctx, 2)), nil)
	must(err)
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	must(err)
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	ctx := context.Background()
	verb, argument := "", ""
	if len(os.Args) > 1 {
		verb = os.Args[1]
	}
	if len(os.Args) > 2 {
		argument = os.Args[2]
	}
	switch verb {
	case "settings":
		must(json.NewEncoder(os.Stdout).Encode(settingsOf(argument)))
	case "migrate":
		migrate(ctx)
	case "enqueue":
		count, err := strconv.Atoi(argument)
		must(err)
		enqueue(ctx, count, func(index int) river.JobArgs { return noopArgs{ID: index} })
	case "enqueue-samples":
		if argument == "erasure-users" {
			enqueueUsers(ctx)
		} else {
			enqueueSamples(ctx)
		}
	case "enqueue-wake":
		enqueueWake(ctx)
	case "work":
		work(ctx, argument)
	default:
		fmt.Fprintln(os.Stderr, "usage: river settings|migrate|enqueue|enqueue-samples|enqueue-wake|work [argument]")
		os.Exit(2)
	}
}
