
function terms(rows) {
  const list = element("dl");
  for (const [name, text] of rows) list.append(element("dt", name), element("dd", text));
  return list;
}

function details(summary, schema) {
  const made = element("details");
  made.append(element("summary", summary), element("pre", JSON.stringify(schema, null, 1), { tabIndex: 0 }));
  return made;
}

/** The schema that a reference leads to; all others are written out in place. */
const resolved = (schema, document) =>
  schema?.$ref ? document.components.schemas[schema.$ref.split("/").pop()] : schema;

function bodies(title, content, document) {
  const parts = [element("h3", title)];
  for (const [type, { schema }] of Object.entries(content))
    parts.push(schema ? details(type, resolved(schema, document)) : element("div", type));
  return parts;
}

function route(path, method, operation, document) {
  const section = element("section");
  section.append(element("h2", `${method.toUpperCase()} ${path}`), element("p", operation.summary));
  if (operation.requestBody) section.append(...bodies("Request", operation.requestBody.content, document));
  section.append(...bodies("Response", operation.responses[200].content, document));
  section.append(terms(Object.entries(operation.responses).map(([status, { description }]) => [status, description])));
  return section;
}

attempt(async () => {
  const document = await getJson("openapi.json");
  const shown = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => route(path, method, operation, document)));
  find("routes").replaceChildren(...shown);
  say(document.info.description);
});
