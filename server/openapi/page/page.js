"use strict";
// Shows /openapi.json: no library, no other origin, and text only ever as text.

const VERBS = ["get", "put", "post", "delete"];

function make(tag, text, ...children) {
  const node = document.createElement(tag);
  if (text) node.textContent = text;
  node.append(...children);
  return node;
}

function prose(text) {
  const parts = (text || "").split("`").map((part, place) => (place % 2 ? make("code", part) : part));
  return make("p", "", ...parts);
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
  return [found.type || "any", found.format && `(${found.format})`].filter(Boolean).join(" ");
}

function boundsOf(schema) {
  const words = { minimum: "from", exclusiveMinimum: "above", maximum: "to", minLength: "length from", maxLength: "length to", maxItems: "items to" };
  return Object.entries(words).filter(([key]) => schema[key] !== undefined).map(([key, word]) => `${word} ${schema[key]}`).join(", ");
}

function fieldRows(root, schema, prefix, depth, table) {
  const found = resolve(root, schema);
  const whole = found.allOf ? resolve(root, found.allOf[0]) : found;
  for (const [name, field] of Object.entries(whole.properties || {})) {
    const inner = resolve(root, field);
    const row = make("tr");
    row.append(make("td", "", make("code", prefix + name)));
    row.append(make("td", typeOf(root, field, 0)));
    row.append(make("td", (whole.required || []).includes(name) ? "" : "optional"));
    row.append(make("td", [inner.description, boundsOf(inner)].filter(Boolean).join("; ")));
    table.append(row);
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
      box.append(make("h4", "A real one"), make("pre", JSON.stringify(said.example, null, 2)));
    }
  }
  return box;
}

function showParameters(operation) {
  const table = make("table");
  for (const each of operation.parameters || []) {
    const row = make("tr");
    row.append(make("td", "", make("code", each.name)), make("td", each.in), make("td", each.required ? "" : "optional"));
    row.append(make("td", "", prose([each.description, boundsOf(each.schema)].filter(Boolean).join(" "))));
    table.append(row);
  }
  return table;
}

function showOperation(root, verb, path, operation) {
  const section = make("section");
  section.id = operation.operationId;
  section.append(make("h3", "", make("span", verb.toUpperCase()), " ", make("code", path)));
  section.querySelector("span").className = "verb";
  section.append(make("p", operation.summary));
  if (operation.description) section.append(prose(operation.description));
  const needs = (operation.security || []).map((each) => Object.keys(each)[0] || "nothing").join(" or ") || "nothing";
  section.append(make("p", `Needs: ${needs}`));
  section.lastChild.className = "note";
  if (operation.parameters) section.append(make("h4", "Parameters"), showParameters(operation));
  if (operation.requestBody) {
    section.append(make("h4", "Body"), prose(operation.requestBody.description), showMedia(root, operation.requestBody.content));
  }
  for (const [status, said] of Object.entries(operation.responses)) {
    const answer = resolve(root, said);
    const details = make("details");
    details.open = status === "200";
    const codes = Object.values(answer.content || {}).flatMap((each) => ((each.schema.allOf || [])[1] || {}).properties?.error?.enum || []);
    details.append(make("summary", "", make("b", status), " ", answer.description, codes.length ? ` (${codes.join(", ")})` : ""));
    if (!codes.length) details.append(showMedia(root, answer.content));
    section.append(details);
  }
  return section;
}

function show(root) {
  const content = document.getElementById("content");
  const index = document.getElementById("index");
  content.textContent = "";
  content.append(make("h1", `${root.info.title}, HTTP API ${root.info.version}`));
  for (const part of root.info.description.split("\n\n")) content.append(prose(part));
  content.append(make("p", "", "The document: ", Object.assign(make("a", "/openapi.json"), { href: "/openapi.json" })));
  for (const tag of root.tags) {
    index.append(make("h2", tag.name));
    content.append(make("h2", tag.name));
    for (const [path, item] of Object.entries(root.paths)) {
      for (const verb of VERBS.filter((each) => item[each] && item[each].tags[0] === tag.name)) {
        const link = make("a", "", make("span", verb.toUpperCase()), " ", path);
        link.href = `#${item[verb].operationId}`;
        link.firstChild.className = "verb";
        index.append(link);
        content.append(showOperation(root, verb, path, item[verb]));
      }
    }
  }
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

function find(event) {
  const wanted = event.target.value.toLowerCase();
  for (const link of document.querySelectorAll("nav a")) {
    link.hidden = !link.textContent.toLowerCase().includes(wanted);
  }
}

document.getElementById("find").addEventListener("input", find);
fetch("/openapi.json").then((answer) => answer.json()).then(show).catch((error) => {
  document.getElementById("content").textContent = `The document could not be shown: ${error}`;
});
