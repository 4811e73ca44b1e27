// A new infrastructure from a description; every mistake is shown where it is.

import { get, newKey, once } from "./api.js";
import { DescriptionForm } from "./description.js";
import { Types } from "./types.js";
import { html, notify, useEffect, useRef, useState } from "./ui.js";

// The quick start of the documentation, where this service can build it; else something of the types that it has.
const QUICK_START = `infra_name: quickstart
user_id: me@example.com
variables:
  greeting: Hello from Occopus
nodes:
  - &web
    name: web
    type: quickstart_web
    scaling: {min: 2, max: 5}
  - &loadbalancer
    name: loadbalancer
    type: quickstart_loadbalancer
    discovers: true           # it hears of web nodes that come later
    variables:
      title: the load balancer of the quick start
dependencies:
  - [*loadbalancer, *web]    # the load balancer starts when every web node is healthy
outputs:                      # printed after the build, and in every report
  url: "http://{{ getip('loadbalancer') }}:8080/"
`;
const ITS_TYPES = ["quickstart_web", "quickstart_loadbalancer"];

function example(names) {
  if (!names.length || ITS_TYPES.every((type) => names.includes(type))) return QUICK_START;
  const nodes = names.slice(0, 2).reverse();
  const described = nodes.map((name, number) => `  - &node${number + 1}\n    name: ${name.replace(/[^A-Za-z0-9]/g, "-").replace(/^-+|-+$/g, "").toLowerCase()}\n    type: ${name}\n    scaling: {min: 1, max: 3}`);
  const edge = nodes.length > 1 ? "\ndependencies:\n  - [*node2, *node1]    # the first needs the second\n" : "\n";
  return `infra_name: example\nuser_id: me@example.com\nnodes:\n${described.join("\n") || "  - name: web\n    type: web"}${edge}`;
}

export function Create({ caller }) {
  const [text, setText] = useState(sessionStorage.getItem("occopus-draft") ?? "");
  const [names, setNames] = useState(null);
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const key = useRef({});
  useEffect(() => {
    document.title = "New infrastructure – Occopus";
    get("node_definitions/").then((said) => setNames(said.node_definitions), () => setNames([]));
  }, []);
  useEffect(() => sessionStorage.setItem("occopus-draft", text), [text]);
  const submit = async (event) => {
    event.preventDefault();
    if (busy || !text.trim()) return;
    // The same text has the same key: a second try after an answer that was lost builds nothing twice.
    if (key.current.text !== text) key.current = { text, key: newKey() };
    setBusy(true);
    setProblem(null);
    try {
      const { infraid } = await once("infrastructures/", text, key.current.key);
      sessionStorage.removeItem("occopus-draft");
      notify("The description is good: it is being built.");
      location.hash = `#/infrastructures/${encodeURIComponent(infraid)}`;
    } catch (error) {
      if (!error.away) key.current = {};
      setProblem(error);
      setBusy(false);
    }
  };
  if (!caller.may("write")) return html`<div class="panel narrow"><h1 tabindex="-1">New infrastructure</h1>
    <p>Your token is for “${caller.scope}”; building needs one for “write”.</p><a class="button" href="#/">All infrastructures</a></div>`;
  return html`<nav class="crumbs" aria-label="Where you are"><a href="#/">Infrastructures</a></nav>
    <div class="head"><h1 tabindex="-1">New infrastructure</h1></div>
    <div class="columns">
    <${DescriptionForm} text=${text} setText=${setText} problem=${problem} nothing="Nothing was built" submit=${submit}>
      <button class="primary" type="submit" disabled=${busy || !text.trim()}>${busy ? "Checking…" : "Build"}</button>
      ${!text.trim() && html`<button type="button" onClick=${() => setText(example(names ?? []))}>Start from an example</button>`}
    <//>
    <${Types} names=${names} /></div>`;
}
