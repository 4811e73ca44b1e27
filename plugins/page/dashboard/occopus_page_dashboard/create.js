// A new infrastructure from a description; every mistake is shown where it is.

import { get, newKey, once } from "./api.js";
import { Type } from "./types.js";
import { html, notify, plural, useEffect, useRef, useState } from "./ui.js";

const LARGEST = 2 ** 20; // bytes, as the service has it

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
    variables:
      title: the load balancer of the quick start
dependencies:
  - [*loadbalancer, *web]    # the load balancer starts when every web node is healthy
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
  const area = useRef(), key = useRef({}), summary = useRef();
  useEffect(() => {
    document.title = "New infrastructure – Occopus";
    get("node_definitions/").then((said) => setNames(said.node_definitions), () => setNames([]));
  }, []);
  useEffect(() => sessionStorage.setItem("occopus-draft", text), [text]);
  useEffect(() => problem && summary.current.focus(), [problem]);
  const take = async (file) => {
    if (!file) return;
    if (file.size > LARGEST) notify(`${file.name} is larger than a description may be.`, true);
    else setText(await file.text());
  };
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
  const jump = (line, column) => {
    const lines = text.split("\n");
    const offset = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0) + column - 1;
    area.current.focus();
    area.current.setSelectionRange(offset, offset + Math.max(1, (lines[line - 1] ?? "").length - column + 1));
    const height = parseFloat(getComputedStyle(area.current).lineHeight);
    area.current.scrollTop = Math.max(0, (line - 4) * height);
  };
  if (!caller.may("write")) return html`<div class="panel narrow"><h1 tabindex="-1">New infrastructure</h1>
    <p>Your token is for “${caller.scope}”; building needs one for “write”.</p><a class="button" href="#/">All infrastructures</a></div>`;
  return html`<nav class="crumbs" aria-label="Where you are"><a href="#/">Infrastructures</a></nav>
    <div class="head"><h1 tabindex="-1">New infrastructure</h1></div>
    <div class="columns">
    <form class="panel" onSubmit=${submit} onDragOver=${(event) => event.preventDefault()}
        onDrop=${(event) => { event.preventDefault(); take(event.dataTransfer.files[0]); }}>
      <label for="description">Description <span class="muted">YAML or JSON; a file can be dropped here</span></label>
      <textarea id="description" ref=${area} class="mono" rows="18" spellcheck="false" autocapitalize="off" value=${text}
        aria-invalid=${problem?.errors.length ? "true" : null} aria-describedby=${problem ? "problems" : null}
        onInput=${(event) => setText(event.target.value)}></textarea>
      <div class="actions left">
        <button class="primary" type="submit" disabled=${busy || !text.trim()}>${busy ? "Checking…" : "Build"}</button>
        <label class="button file">Open a file<input type="file" accept=".yaml,.yml,.json,text/*" onChange=${(event) => take(event.target.files[0])} /></label>
        ${!text.trim() && html`<button type="button" onClick=${() => setText(example(names ?? []))}>Start from an example</button>`}
      </div>
      ${problem && html`<${Problems} problem=${problem} text=${text} jump=${jump} summary=${summary} />`}
    </form>
    <aside class="panel aside"><h2>Types of nodes</h2>
      <p class="small muted">The node definitions that this service has. A description names one as <code>type</code>.</p>
      ${names === null ? html`<p class="muted">One moment…</p>` : names.length
        ? html`<ul class="plain-list">${names.slice(0, 200).map((name) => html`<li key=${name}><${Type} name=${name} /></li>`)}</ul>`
        : html`<p>There are none yet. Import some where the service runs:</p><pre>occopus-import examples/quickstart/nodes.yaml</pre>`}
    </aside></div>`;
}

function Problems({ problem, text, jump, summary }) {
  const lines = text.split("\n");
  return html`<section id="problems" class="problems" tabindex="-1" ref=${summary} role="alert">
    <h2>${problem.errors.length ? `Nothing was built: ${plural(problem.errors.length, "mistake")}` : "Nothing was built"}</h2>
    ${problem.errors.length ? html`<ol>${problem.errors.map((one) => html`<${Mistake} one=${one} lines=${lines} jump=${jump} />`)}</ol>` : html`<p>${problem.message}</p>`}
  </section>`;
}

function Mistake({ one, lines, jump }) {
  const [, line, column] = /:(\d+):(\d+)$/.exec(one.position) ?? [];
  const shown = line && lines[line - 1]?.trim();
  return html`<li>
    ${line ? html`<button type="button" class="link" onClick=${() => jump(Number(line), Number(column))}>line ${line}, column ${column}</button>` : one.path && html`<span class="mono">${one.path}</span>`}
    ${" "}<span>${one.message}</span>
    ${shown && html`<code class="excerpt">${shown}</code>`}
  </li>`;
}
