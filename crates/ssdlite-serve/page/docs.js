// The interface for programs, shown from its description.

const docs = document.getElementById("docs");

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// What a reference in the description stands for; what it says itself goes first.
function resolved(description, part) {
  if (!part?.$ref) return part;
  const { $ref, ...own } = part;
  const steps = $ref.slice(2).split("/");
  return { ...steps.reduce((inner, step) => inner[step], description), ...own };
}

function table(rows) {
  const row = ([name, text]) => element("tr", {},
    element("th", { scope: "row" }, element("code", {}, name)), element("td", {}, text));
  return element("table", {}, element("tbody", {}, ...rows.map(row)));
}

function range({ minimum, maximum }) {
  return minimum === undefined ? "" : ` ${minimum} to ${maximum}.`;
}

const pre = (text) => element("pre", { tabIndex: 0 }, element("code", {}, text));

function parameters(description, operation) {
  return (operation.parameters ?? []).map((part) => {
    const { name, description: text = "", schema, required } = resolved(description, part);
    const words = [required ? "Required." : "", text, range(schema)];
    return [name, words.filter(Boolean).join(" ")];
  });
}

function answers(description, operation) {
  return Object.entries(operation.responses).map(([status, part]) => {
    const { description: text, content = {} } = resolved(description, part);
    const kinds = status < 400 ? Object.keys(content).join(" or ") : "";
    return [status, `${text} ${kinds}`];
  });
}

function examples(description, operation) {
  const content = resolved(description, operation.responses["200"])?.content ?? {};
  const bodies = Object.values(content);
  return bodies.flatMap(({ examples = {} }) => Object.values(examples));
}

function section(description, path, method, operation) {
  const made = element("section", { className: "card", id: operation.operationId },
    element("h2", {}, element("span", { className: "method" }, method.toUpperCase()),
      element("code", {}, path)),
    element("p", {}, operation.summary));
  const add = (title, ...parts) => made.append(element("h3", {}, title), ...parts);
  if (operation.description) made.append(element("p", { className: "soft" }, operation.description));
  const asked = parameters(description, operation);
  if (asked.length > 0) add("Parameters", table(asked));
  const bodies = Object.keys(operation.requestBody?.content ?? {});
  if (bodies.length > 0) {
    add("Body", element("p", {}, `${operation.requestBody.description ?? ""} ${bodies.join(", ")}`));
  }
  const samples = operation["x-codeSamples"] ?? [];
  if (samples.length > 0) {
    add("Commands", ...samples.map(({ source }) => pre(source.replaceAll("{server}", location.origin))));
  }
  add("Answers", table(answers(description, operation)),
    ...examples(description, operation).flatMap(({ summary, value }) => [
      element("p", { className: "soft" }, summary), pre(JSON.stringify(value, null, 2)),
    ]));
  return made;
}

function show(description) {
  const { info, paths } = description;
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })));
  const link = ({ path, method, operation }) => element("li", {},
    element("a", { href: `#${operation.operationId}` }, `${method.toUpperCase()} ${path}`),
    ` ${operation.summary}`);
  docs.append(
    element("p", {}, info.description),
    element("nav", { className: "card", ariaLabel: "Paths" }, element("ul", {}, ...operations.map(link))),
    ...operations.map(({ path, method, operation }) => section(description, path, method, operation)));
}

try {
  const response = await fetch("/openapi.json");
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  show(await response.json());
} catch (error) {
  docs.append(element("p", { role: "alert" }, `The description can’t be shown: ${error.message}`));
}
