/** The types of the API's calls, from its specification. */
import type { paths } from "./api";

type Method = "get" | "post" | "delete";
type Operation<P extends keyof paths, M extends Method> = paths[P] extends { [K in M]: infer O } ? O : never;
type Content<R> = R extends { content: infer C } ? C[keyof C] : undefined;
type Success<O> = O extends { responses: infer R } ? Content<R[keyof R & (200 | 202 | 204)]> : never;

/** Calls that a server may lack. The panel asks the specification before it uses them. */
type Optional =
  | "/admin/erasures"
  | "/admin/pause"
  | "/admin/resume"
  | "/admin/settings"
  | "/admin/users/{userId}"
  | "/admin/users/{userId}/erasure/cancel"
  | "/admin/users/{userId}/plan";

type Known<M extends Method> = {
  [P in keyof paths]: paths[P] extends { [K in M]: { responses: unknown } } ? P : never;
}[keyof paths];

/** The paths that have this method. */
export type PathOf<M extends Method> = Known<M> | Optional;

/** What a call answers. */
export type Answer<P extends PathOf<M>, M extends Method> = P extends Known<M> ? Success<Operation<P, M>> : any;

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
