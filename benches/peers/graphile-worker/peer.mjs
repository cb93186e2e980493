// Graphile Worker as a peer; PROTOCOL.md says what each verb reads and writes.
import { createInterface } from "node:readline";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { DeleteObjectCommand, DeleteObjectsCommand, S3Client } from "@aws-sdk/client-s3";
import { Logger, makeWorkerUtils, run, WorkerPreset } from "graphile-worker";
import pg from "pg";

const connectionString = process.env.PEER_DATABASE_URL;
const deleteRows =
    "with images as (delete from sample_images where sample_id = any($1)) delete from samples where id = any($1)";
const deleteUser = `with images as (delete from sample_images where sample_id in (select id from samples where user_id = $1)),
    their_samples as (delete from samples where user_id = $1),
    their_collections as (delete from collections where user_id = $1)
    delete from users where id = $1`;
const enqueueJobs = `select count(*) from graphile_worker.add_jobs(
    (select array_agg((identifier, payload, null, null, null, null, null, null)::graphile_worker.job_spec)
     from unnest($1::text[], $2::json[]) as t(identifier, payload)))`;

// The authors' own benchmark: docs/performance, "Quick stats". For the erasure the concurrency is that of
// the S3 requests; the batches are few and large, so their local queue is concurrency + 1, as recommended.
const settings = {
    queue: { concurrentJobs: 24, maxPoolSize: 25, localQueue: { size: 500 } },
    wake: { concurrentJobs: 24, maxPoolSize: 25, localQueue: { size: 500 } },
    erasure: { concurrentJobs: 64, maxPoolSize: 25, localQueue: { size: 500 } },
    "erasure-users": { concurrentJobs: 64, maxPoolSize: 25, localQueue: { size: 500 } },
    "erasure-batch": { concurrentJobs: 4, maxPoolSize: 10, localQueue: { size: 5 } },
};
const batchSize = 1000; // keys: the limit of DeleteObjects

const now = () => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e3)) * 1000n;
const say = (line) => process.stdout.write(line + "\n");

function preset(benchCase) {
    return {
        extends: [WorkerPreset],
        worker: {
            connectionString,
            ...settings[benchCase],
            completeJobBatchDelay: 0,
            failJobBatchDelay: 0,
            logger: new Logger(() => (level, message) => level === "error" && console.error(message)),
        },
    };
}

function tasks(benchCase, pool) {
    let handled = 0;
    let reported = 0;
    setInterval(() => {
        if (handled !== reported) say(`handled ${(reported = handled)}`);
    }, 5);
    const s3 = benchCase.startsWith("erasure")
        ? new S3Client({
              endpoint: process.env.PEER_S3_ENDPOINT,
              forcePathStyle: true,
              requestHandler: new NodeHttpHandler({ httpAgent: { keepAlive: true, maxSockets: 64 } }),
          })
        : undefined;
    const Bucket = process.env.PEER_S3_BUCKET;
    const deleteTogether = async (keys) => {
        const Objects = keys.map((Key) => ({ Key }));
        const answer = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
        if (answer.Errors?.length || answer.Deleted?.length !== keys.length)
            throw new Error(`DeleteObjects: ${answer.Deleted?.length} of ${keys.length} keys deleted`);
    };
    return {
        noop: async () => {
            handled += 1;
        },
        wake: async ({ id }) => {
            say(`started ${id} ${now()}`);
        },
        erase: async ({ id, keys }) => {
            for (const Key of keys) await s3.send(new DeleteObjectCommand({ Bucket, Key }));
            await pool.query({ name: "delete-rows", text: deleteRows, values: [[id]] });
            handled += 1;
        },
        "erase-user": async ({ id, keys }) => {
            await deleteTogether(keys);
            await pool.query({ name: "delete-user", text: deleteUser, values: [id] });
            handled += 1;
        },
        "erase-batch": async (samples) => {
            await deleteTogether(samples.flatMap((sample) => sample.keys));
            await pool.query(deleteRows, [samples.map((sample) => sample.id)]);
            handled += samples.length;
        },
    };
}

async function work(benchCase) {
    const pool = new pg.Pool({ connectionString, max: settings[benchCase].maxPoolSize });
    await pool.query("select 1");
    const taskList = tasks(benchCase, pool);
    const commands = createInterface({ input: process.stdin });
    say("ready");
    let runner;
    for await (const command of commands) {
        if (command !== "go") break;
        runner = await run({ preset: preset(benchCase), taskList });
        say("running");
    }
    await runner?.stop();
    process.exit(0);
}

async function enqueue(identifier, payloads) {
    const client = new pg.Client({ connectionString });
    await client.connect();
    const chunk = 10_000;
    for (let from = 0; from < payloads.length; from += chunk) {
        const part = payloads.slice(from, from + chunk).map((payload) => JSON.stringify(payload));
        await client.query(enqueueJobs, [part.map(() => identifier), part]);
    }
    await client.end();
}

async function enqueueSamples(benchCase) {
    const client = new pg.Client({ connectionString });
    await client.connect();
    const { rows } = await client.query(
        benchCase === "erasure-users"
            ? `select s.user_id as id, array_agg(i.object_key) as keys
               from sample_images i join samples s on s.id = i.sample_id group by s.user_id`
            : "select sample_id as id, array_agg(object_key) as keys from sample_images group by sample_id",
    );
    await client.end();
    if (benchCase === "erasure-users") return enqueue("erase-user", rows);
    if (benchCase === "erasure") return enqueue("erase", rows);
    const batches = [];
    for (let from = 0; from < rows.length; from += batchSize) batches.push(rows.slice(from, from + batchSize));
    return enqueue("erase-batch", batches);
}

async function enqueueWake() {
    const client = new pg.Client({ connectionString });
    await client.connect();
    say("ready");
    for await (const id of createInterface({ input: process.stdin })) {
        await client.query("begin");
        await client.query("select graphile_worker.add_job('wake', $1)", [JSON.stringify({ id })]);
        const committed = now();
        await client.query("commit");
        say(`committed ${id} ${committed}`);
    }
    await client.end();
}

async function migrate() {
    const utils = await makeWorkerUtils({ preset: preset("queue") });
    await utils.migrate();
    await utils.release();
}

const [verb, argument] = process.argv.slice(2);
const verbs = {
    settings: async () => say(JSON.stringify({ ...settings[argument], completeJobBatchDelay: 0, failJobBatchDelay: 0 })),
    migrate,
    enqueue: () => enqueue("noop", Array.from({ length: Number(argument) }, (_, id) => ({ id }))),
    "enqueue-samples": () => enqueueSamples(argument),
    "enqueue-wake": enqueueWake,
    work: () => work(argument),
};
if (!verbs[verb]) {
    console.error(`usage: peer.mjs ${Object.keys(verbs).join("|")} [argument]`);
    process.exit(2);
}
await verbs[verb]();
