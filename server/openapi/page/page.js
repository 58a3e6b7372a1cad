"use strict";
// Shows /openapi.json: no library, no other origin, and text only ever as text.

const VERBS = ["get", "put", "post", "delete"];
const NARROW = matchMedia("(max-width: 50rem)");

function make(tag, text, ...children) {
  const node = document.createElement(tag);
  if (text) node.textContent = text;
  node.append(...children);
  return node;
}

function labelled(className, node) {
  node.className = className;
  return node;
}

// A long name may break behind what joins its parts, and nowhere else unless it must.
function breakable(text) {
  return text.split(/(?<=[/_.[\]-])(?=.)/).flatMap((part, place) => (place ? [make("wbr"), part] : [part]));
}

function code(text) {
  return make("code", "", ...breakable(text));
}

function marked(text) {
  return (text || "").split("`").map((part, place) => (place % 2 ? code(part) : part));
}

function prose(text) {
  return make("p", "", ...marked(text));
}

function resolve(root, schema) {
  if (!schema || !schema.$ref) return schema || {};
  return schema.$ref.slice(2).split("/").reduce((node, key) => node[key], root);
}

function nameOf(schema) {
  return schema.$ref ? schema.$ref.split("/").pop() : "";
}

function typeOf(root, schema, depth) {
  if (schema.$ref && depth > 3) return nameOf(schema);
  const found = resolve(root, schema);
  if (found.anyOf || found.oneOf) {
    const options = (found.anyOf || found.oneOf).map((each) => typeOf(root, each, depth + 1));
    return [...new Set(options)].join(" | ");
  }
  if (found.allOf) return typeOf(root, found.allOf[0], depth + 1);
  if (found.const !== undefined) return JSON.stringify(found.const);
  if (found.enum) return found.enum.map((each) => JSON.stringify(each)).join(" | ");
  if (found.type === "array") return `[${typeOf(root, found.items || {}, depth + 1)}]`;
  if (found.type === "object" || found.properties) return nameOf(schema) || "object";
  return [[found.type || "any"].flat().join(" | "), found.format && `(${found.format})`].filter(Boolean).join(" ");
}

function boundsOf(schema) {
  const { minLength, maxLength } = schema;
  const words = { minimum: "from", exclusiveMinimum: "above", maximum: "to", maxItems: "items to" };
  const found = Object.entries(words).filter(([key]) => schema[key] !== undefined).map(([key, word]) => `${word} ${schema[key]}`);
  if (maxLength !== undefined) found.push(`${minLength ? `${minLength} to` : "up to"} ${maxLength} characters`);
  else if (minLength) found.push(`at least ${minLength} characters`);
  return found.join(", ");
}

function saidOf(description, schema) {
  const bounds = boundsOf(schema);
  return description && bounds ? `${description} (${bounds})` : description || bounds;
}

function rowOf(name, type, optional, said) {
  const row = make("tr", "", make("td", "", code(name)), make("td", type), make("td", optional ? "optional" : ""));
  row.append(make("td", "", ...marked(said)));
  return row;
}

function fieldRows(root, schema, prefix, depth, table) {
  const found = resolve(root, schema);
  const whole = found.allOf ? resolve(root, found.allOf[0]) : found;
  for (const [name, field] of Object.entries(whole.properties || {})) {
    const inner = resolve(root, field);
    const optional = !(whole.required || []).includes(name);
    table.append(rowOf(prefix + name, typeOf(root, field, 0), optional, saidOf(inner.description, inner)));
    const items = inner.type === "array" ? inner.items || {} : field;
    const options = resolve(root, items).anyOf || [items];
    for (const option of options) {
      const target = resolve(root, option);
      if (depth < 4 && target.properties) {
        fieldRows(root, option, `${prefix}${name}${inner.type === "array" ? "[]" : ""}.`, depth + 1, table);
      }
    }
  }
}

function fieldsOf(root, schema) {
  const table = make("table");
  fieldRows(root, schema, "", 0, table);
  if (!table.childNodes.length) return make("p", typeOf(root, schema, 0));
  return table;
}

function showMedia(root, content) {
  const box = make("div");
  for (const [media, said] of Object.entries(content || {})) {
    box.append(make("p", "", make("code", media)));
    if (media === Object.keys(content)[0]) box.append(fieldsOf(root, said.schema || {}));
    if (said.example !== undefined) {
      const text = typeof said.example === "string" ? said.example : JSON.stringify(said.example, null, 2);
      box.append(make("h4", "A real one"), make("pre", text));
    }
  }
  return box;
}

function showParameters(operation) {
  const table = make("table");
  for (const each of operation.parameters || []) {
    table.append(rowOf(each.name, each.in, !each.required, saidOf(each.description, each.schema)));
  }
  return table;
}

function titled(tag, verb, path) {
  return make(tag, "", labelled("verb", make("span", verb.toUpperCase())), " ", make("span", "", ...breakable(path)));
}

function showAnswer(root, status, said) {
  const answer = resolve(root, said);
  const details = make("details");
  details.open = status.startsWith("2");
  const codes = Object.values(answer.content || {}).flatMap((each) => ((each.schema.allOf || [])[1] || {}).properties?.error?.enum || []);
  details.append(make("summary", "", make("b", status), " ", ...marked(answer.description), codes.length ? ` (${codes.join(", ")})` : ""));
  if (!codes.length) details.append(showMedia(root, answer.content));
  return details;
}

function showOperation(root, { verb, path, operation, also }) {
  const section = make("section");
  section.id = operation.operationId;
  section.append(titled("h3", verb, path));
  for (const other of also) section.append(labelled("note", make("p", "Also ", code(other))));
  section.append(prose(operation.summary));
  if (operation.description) section.append(prose(operation.description));
  const needs = (operation.security || []).map((each) => Object.keys(each)[0] || "nothing").join(" or ") || "nothing";
  section.append(labelled("note", make("p", `Needs: ${needs}`)));
  if (operation.parameters) section.append(make("h4", "Parameters"), showParameters(operation));
  if (operation.requestBody) {
    section.append(make("h4", "Body"), prose(operation.requestBody.description), showMedia(root, operation.requestBody.content));
  }
  section.append(make("h4", "Answers"));
  for (const [status, said] of Object.entries(operation.responses)) section.append(showAnswer(root, status, said));
  return section;
}

function withoutExamples(key, value) {
  return key === "example" ? undefined : value;
}

// What is the same under several paths is one, with the other paths in `also`.
function operationsOf(root, tag) {
  const found = new Map();
  for (const [path, item] of Object.entries(root.paths)) {
    for (const verb of VERBS.filter((each) => item[each] && item[each].tags[0] === tag)) {
      const operation = item[verb];
      const said = JSON.stringify([verb, { ...operation, operationId: "" }], withoutExamples);
      if (found.has(said)) found.get(said).also.push(path);
      else found.set(said, { verb, path, operation, also: [] });
    }
  }
  return [...found.values()];
}

function linkTo({ verb, path, operation, also }, tag) {
  const link = titled("a", verb, path);
  link.href = `#${operation.operationId}`;
  link.title = operation.summary;
  link.dataset.words = [verb, path, operation.summary, tag, ...also].join(" ").toLowerCase();
  return link;
}

function show(root) {
  const content = document.getElementById("content");
  const index = document.getElementById("index");
  content.textContent = "";
  content.append(make("h1", `${root.info.title}, HTTP API ${root.info.version}`));
  for (const part of root.info.description.split("\n\n")) content.append(prose(part));
  content.append(make("p", "", "The document: ", Object.assign(make("a", "/openapi.json"), { href: "/openapi.json" })));
  for (const tag of root.tags) {
    const group = make("div", "", make("h2", tag.name));
    index.append(group);
    content.append(make("h2", tag.name));
    if (tag.description) content.append(prose(tag.description));
    for (const each of operationsOf(root, tag.name)) {
      group.append(linkTo(each, tag.name));
      content.append(showOperation(root, each));
    }
  }
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

function textOf(link) {
  return document.getElementById(link.hash.slice(1)).textContent.toLowerCase();
}

// By path and summary; where nothing has the words there, by all that is said of an operation.
function find(event) {
  const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  const links = [...document.querySelectorAll("nav a")];
  const having = (told) => links.filter((link) => words.every((word) => told(link).includes(word)));
  let found = having((link) => link.dataset.words);
  if (!found.length) found = having(textOf);
  for (const link of links) link.hidden = !found.includes(link);
  for (const group of document.querySelectorAll("#index > div")) group.hidden = !group.querySelector("a:not([hidden])");
  document.getElementById("none").hidden = found.length > 0;
  if (words.length) document.getElementById("all").open = true;
}

// On a phone the list covers the page: it goes when something was chosen.
function choose(event) {
  if (NARROW.matches && event.target.closest("a")) document.getElementById("all").open = false;
}

document.getElementById("all").open = !NARROW.matches;
document.getElementById("find").addEventListener("input", find);
document.getElementById("index").addEventListener("click", choose);
fetch("/openapi.json").then((answer) => answer.json()).then(show).catch((error) => {
  document.getElementById("content").textContent = `The document could not be shown: ${error}`;
});
