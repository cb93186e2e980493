// A `lethe dev` of its own for each file of tests.
import { execFile, execFileSync, spawn } from "node:child_process";
import { createServer } from "node:net";
import { chmod, mkdtemp, readFile, readlink, rm, lstat, readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const BINARY = process.env.LETHE_BINARY ?? new URL("../../../target/debug/lethe", import.meta.url).pathname;
const START_LIMIT_MS = 120_000;
const STOP_LIMIT_MS = 40_000;

const document = JSON.parse(execFileSync(BINARY, ["openapi", "--format", "json"], { encoding: "utf8" }));
const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods));

/** Options of a test that needs this operation: without it the test is skipped, and says why. */
export function needs(operationId) {
  const there = operations.some((operation) => operation.operationId === operationId);
  return there ? {} : { skip: `this version has no operation ${operationId}` };
}

/** Options of a test that needs the roles of tokens. */
export function needsRoles() {
  const there = operations.some((operation) => operation["x-required-role"]);
  return there ? {} : { skip: "this version has no roles" };
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function findPsql() {
  const versions = await readdir("/usr/lib/postgresql").catch(() => []);
  const newest = versions.sort((a, b) => Number(b) - Number(a))[0];
  return newest ? `/usr/lib/postgresql/${newest}/bin/psql` : "psql";
}

/** Waits until `check` answers something true. */
export async function until(what, check, limit = 30_000) {
  const end = Date.now() + limit;
  for (;;) {
    const answer = await check();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`waited ${limit} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/**
 * Starts it. `args` are flags of `lethe dev`, `env` more variables.
 */
export async function startLethe(args = [], env = {}) {
  const folder = await mkdtemp(join(tmpdir(), "lethe-browser-"));
  // PostgreSQL does not run as root, and must reach its folder.
  await chmod(folder, 0o711);
  const data = join(folder, "data");
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const output = [];
  const child = spawn(BINARY, ["dev", "--data-dir", data, "--bind-addr", `127.0.0.1:${port}`, ...args], {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: process.env.HOME ?? "/", TZ: process.env.TZ ?? "UTC", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.stdout.on("data", (chunk) => output.push(chunk));
  child.stderr.on("data", (chunk) => output.push(chunk));
  const text = () => Buffer.concat(output).toString();
  const ended = new Promise((resolve) => child.on("exit", resolve));
  await until(
    "the banner of lethe dev",
    () => {
      if (child.exitCode !== null) throw new Error(`lethe dev ended with ${child.exitCode}:\n${text()}`);
      return text().includes("Ctrl-C stops everything");
    },
    START_LIMIT_MS,
  );
  const state = JSON.parse(await readFile(join(data, "state.json"), "utf8"));
  const password = (await readFile(join(data, "postgres", "password"), "utf8")).trim();
  const psql = await findPsql();

  const lethe = {
    url,
    token: state.admin_token,
    banner: text,
    /** Runs SQL on the private database and answers its rows, as text. */
    async sql(statement) {
      const connection = ["-h", "127.0.0.1", "-p", String(state.ports.postgres), "-U", "lethe", "-d", "lethe"];
      const { stdout } = await run(psql, ["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", ...connection, "-c", statement], {
        env: { ...process.env, PGPASSWORD: password },
      });
      return stdout.trim();
    },
    /** Calls the API as any client would. */
    async call(method, path, { token = state.admin_token, body } = {}) {
      const response = await fetch(url + path, {
        method,
        headers: { authorization: `Bearer ${token}`, ...(body ? { "content-type": "application/json" } : {}) },
        body: body ? JSON.stringify(body) : undefined,
      });
      const answer = await response.text();
      return { status: response.status, body: answer ? JSON.parse(answer) : undefined };
    },
    async stop() {
      child.kill("SIGINT");
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_LIMIT_MS);
      await ended;
      clearTimeout(timer);
      // As root, the database may live elsewhere behind a link.
      const postgres = join(data, "postgres");
      const link = await lstat(postgres).catch(() => undefined);
      if (link?.isSymbolicLink()) await rm(await readlink(postgres), { recursive: true, force: true });
      await rm(folder, { recursive: true, force: true });
    },
  };
  return lethe;
}
