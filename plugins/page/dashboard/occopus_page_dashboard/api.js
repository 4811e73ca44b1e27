// Calls of the public API, with the token of this tab: it is never in an address, and gone when the tab is.

const KEY = "occopus-token";
const CALL_SECONDS = 30;
const root = new URL("../", import.meta.url);

let refused = () => {};
export const onRefused = (listener) => {
  refused = listener;
};
export const token = () => sessionStorage.getItem(KEY);
export const setToken = (text) => (text ? sessionStorage.setItem(KEY, text) : sessionStorage.removeItem(KEY));

// Status 0: no answer.
export class Problem extends Error {
  constructor(status, detail, { errors = [], wait = 0 } = {}) {
    super(detail);
    this.status = status;
    this.errors = errors;
    this.wait = wait; // seconds
  }

  get away() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

// The answer as it comes. Throws `Problem`, and what `signal` aborts with.
export async function open(method, path, { body, headers = {}, signal } = {}) {
  const sent = { ...headers };
  if (token()) sent.Authorization = `Bearer ${token()}`;
  let answer;
  try {
    answer = await fetch(new URL(path, root), { method, body, headers: sent, signal, cache: "no-store" });
  } catch (error) {
    if (signal?.aborted && signal.reason?.name !== "TimeoutError") throw error;
    throw new Problem(0, "The service does not answer.");
  }
  if (answer.ok) return answer;
  const problem = await problemOf(answer);
  if (answer.status === 401) refused(problem);
  throw problem;
}

async function problemOf(answer) {
  const said = await answer.json().catch(() => ({}));
  const wait = Number(answer.headers.get("Retry-After")) || 0;
  return new Problem(answer.status, said.detail || `The service answered ${answer.status}.`, { errors: said.errors, wait });
}

// The JSON of an answer, which is waited for `seconds`.
export async function call(method, path, { seconds = CALL_SECONDS, ...options } = {}) {
  const limit = AbortSignal.timeout(seconds * 1000);
  const signal = options.signal ? AbortSignal.any([options.signal, limit]) : limit;
  return (await open(method, path, { ...options, signal })).json();
}

export const get = (path, signal) => call("GET", path, { signal });

// A request that has its effect once, however often it is repeated.
export const once = (path, body, key = newKey()) =>
  call("POST", path, { body, headers: { "Idempotency-Key": key, "Content-Type": "application/x-yaml" } });

export const newKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

export const at = (id, rest = "") => `infrastructures/${encodeURIComponent(id)}${rest}`;
