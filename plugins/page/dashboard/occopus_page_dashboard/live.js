// What keeps the page up to date: questions asked again and again, and the stream of events.

import { createParser } from "./lib/eventsource-parser.js";
import { at, get, open, Problem } from "./api.js";
import { useCallback, useEffect, useRef, useState } from "./ui.js";

const SLOWEST = 15; // seconds between two questions while nothing changes
const LONGEST = 30; // seconds between two tries without an answer
const SILENCE = 40; // seconds without a byte, not even a comment, after which a stream is taken for dead
const KEPT = 500; // events

const retry = (error, failures) => Math.max(error.wait || 0, Math.min(LONGEST, 2 ** Math.min(failures, 5)));

// Asks `load(signal)` every `seconds`, more seldom while the answer stays the same, or the page is not seen.
export function useLive(load, seconds) {
  const [state, setState] = useState({ data: null, error: null, at: 0 });
  const wake = useRef(() => {});
  useEffect(() => {
    const ended = new AbortController();
    let timer, failures = 0, pause = seconds, last = "", busy = false, again = false;
    const turn = async () => {
      clearTimeout(timer);
      if (busy) {
        again = true;
        return;
      }
      busy = true;
      try {
        const data = await load(ended.signal);
        const text = JSON.stringify(data);
        pause = text === last ? Math.min(SLOWEST, pause * 1.5) : seconds;
        failures = 0;
        setState((old) => ({ data: text === last ? old.data : data, error: null, at: Date.now() }));
        last = text;
      } catch (error) {
        if (ended.signal.aborted) return;
        failures += 1;
        pause = error.away ? retry(error, failures) : SLOWEST;
        setState((old) => ({ ...old, error, next: Date.now() + pause * 1000 }));
      }
      busy = false;
      if (again) {
        again = false;
        timer = setTimeout(turn, 100);
      } else timer = setTimeout(turn, pause * 1000 * (document.hidden ? 4 : 1));
    };
    wake.current = () => {
      pause = seconds;
      turn();
    };
    const seen = () => document.hidden || wake.current();
    document.addEventListener("visibilitychange", seen);
    window.addEventListener("online", seen);
    setState({ data: null, error: null, at: 0 });
    turn();
    return () => {
      ended.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
      window.removeEventListener("online", seen);
    };
  }, [load, seconds]);
  return { ...state, refresh: useCallback(() => wake.current(), []) };
}

// The latest events of an infrastructure, oldest first; `changed` is called when there are more.
export function useEvents(id, changed) {
  const [state, setState] = useState({ events: [], connected: false, known: true, error: null });
  useEffect(() => {
    const ended = new AbortController();
    setState({ events: [], connected: false, known: true, error: null });
    const add = (more) => {
      setState((old) => ({ ...old, events: [...old.events, ...more].slice(-KEPT) }));
      changed();
    };
    follow(id, ended.signal, add, (news) => setState((old) => ({ ...old, ...news })));
    return () => ended.abort();
  }, [id, changed]);
  return state;
}

async function follow(id, signal, add, tell) {
  let last = 0, failures = 0;
  const take = (events) => {
    last = events.at(-1).id;
    add(events);
  };
  const connected = () => {
    failures = 0;
    tell({ connected: true, error: null });
  };
  while (!signal.aborted) {
    await seen(signal);
    const which = last ? `?after=${last}` : "?last=200";
    try {
      await stream(at(id, `/events${which}`), signal, take, connected);
      failures += 1; // the service ends every stream after a while
    } catch (error) {
      if (signal.aborted) return;
      tell({ connected: false, error, known: error.status !== 404 });
      if (error instanceof Problem && !error.away) return;
      failures += 1;
      if (error.status === 503) await ask(id, which, signal, take).catch(() => {}); // too many streams are open
      await pause(retry(error, failures), signal);
      continue;
    }
    tell({ connected: false });
    await pause(retry({}, failures), signal);
  }
}

async function ask(id, which, signal, take) {
  const { events } = await get(at(id, `/events${which}`), signal);
  if (events.length) take(events);
}

const pause = (seconds, signal) =>
  new Promise((done) => {
    setTimeout(done, seconds * 1000);
    signal.addEventListener("abort", done);
  });

// Waits until the tab is visible. A browser has few connections to one host: tabs in the background must not hold them all.
const seen = (signal) =>
  new Promise((done) => {
    const look = () => document.hidden || done();
    document.addEventListener("visibilitychange", look, { signal });
    signal.addEventListener("abort", done);
    look();
  });

async function stream(path, signal, take, connected) {
  const silent = new AbortController();
  let watch;
  const heard = () => {
    clearTimeout(watch);
    watch = setTimeout(() => silent.abort(new DOMException("silent", "TimeoutError")), SILENCE * 1000);
  };
  const both = AbortSignal.any([signal, silent.signal]);
  const look = () => document.hidden && silent.abort(new DOMException("not seen", "TimeoutError"));
  document.addEventListener("visibilitychange", look);
  try {
    const answer = await open("GET", path, { headers: { Accept: "text/event-stream" }, signal: both });
    connected();
    let arrived = [];
    const parser = createParser({ onEvent: (event) => arrived.push(JSON.parse(event.data)) });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    heard();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      heard();
      parser.feed(part.value);
      if (arrived.length) take(arrived);
      arrived = [];
    }
  } catch (error) {
    if (signal.aborted || error instanceof Problem) throw error;
    throw new Problem(0, "The stream of events was interrupted.");
  } finally {
    clearTimeout(watch);
    document.removeEventListener("visibilitychange", look);
  }
}
