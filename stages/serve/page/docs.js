// Lays out /openapi.json: a part a route, with the fields of its request and of its answer.

const part = (id) => document.getElementById(id);

function make(name, text, ...children) {
  const element = document.createElement(name);
  if (text) element.textContent = text;
  element.append(...children);
  return element;
}

/** What a schema is, in a few words. */
function words(schema) {
  if (!schema) return "anything";
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(", ");
  const either = schema.anyOf ?? schema.oneOf;
  if (either) {
    const all = either.filter(({ type }) => type !== "null").map(words);
    return [...new Set(all)].join(" or ") || "null";
  }
  const type = Array.isArray(schema.type)
    ? schema.type.filter((one) => one !== "null").join(" or ")
    : schema.type;
  if (type === "array") return `list of ${words(schema.items)}`;
  const bounds = [
    schema.minimum !== undefined && `from ${schema.minimum}`,
    schema.maximum !== undefined && Math.abs(schema.maximum) < 2 ** 53 - 1 &&
    `to ${schema.maximum}`,
  ].filter(Boolean);
  return [type ?? "anything", ...bounds].join(" ");
}

function table(title, schema) {
  const rows = Object.entries(schema?.properties ?? {}).map(([name, field]) =>
    make(
      "tr",
      "",
      make("td", "", make("code", name)),
      make("td", words(field)),
      make("td", schema.required?.includes(name) ? "always" : ""),
      make("td", field.description ?? ""),
    )
  );
  if (rows.length === 0) return [];
  const scroll = make("div", "", make("table", "", make("tbody", "", ...rows)));
  scroll.className = "scroll";
  scroll.tabIndex = 0;
  return [make("h3", title), scroll];
}

function route(path, method, { summary, requestBody, responses }) {
  const body = requestBody?.content["application/json"].schema;
  const answer = responses["200"]?.content?.["application/json"]?.schema;
  return make(
    "details",
    "",
    make("summary", "", make("code", `${method.toUpperCase()} ${path}`), ` ${summary}`),
    ...table("Request", body),
    ...table("Answer", answer),
  );
}

async function show(key) {
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  const response = await fetch("/openapi.json", { headers });
  part("key").hidden = response.status !== 401;
  if (!response.ok) {
    part("about").textContent = (await response.json()).error.message;
    return;
  }
  const { info, paths } = await response.json();
  part("about").textContent = info.description;
  part("routes").replaceChildren(
    ...Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, one]) => route(path, method, one))
    ),
  );
}

part("key").addEventListener("submit", (event) => {
  event.preventDefault();
  show(part("word").value);
});
show();
