/** The types of the API's calls, from its specification. */
import type { paths } from "./api";

type Method = "get" | "post" | "delete";
type Operation<P extends keyof paths, M extends Method> = paths[P] extends { [K in M]: infer O } ? O : never;
type Content<R> = R extends { content: infer C } ? C[keyof C] : undefined;
type Success<O> = O extends { responses: infer R } ? Content<R[keyof R & (200 | 202 | 204)]> : never;

/** The paths that have this method. */
export type PathOf<M extends Method> = {
  [P in keyof paths]: paths[P] extends { [K in M]: { responses: unknown } } ? P : never;
}[keyof paths];

/** What a call answers. */
export type Answer<P extends PathOf<M>, M extends Method> = Success<Operation<P, M>>;

/** The queries, path parameters and bodies of a call. */
export interface Options {
  path?: Record<string, string>;
  query?: Record<string, string | undefined>;
  body?: unknown;
  signal?: AbortSignal;
}

export interface Problem {
  title: string;
  status: number;
  detail: string;
  requestId: string;
  errors?: { field: string; message: string }[];
}
