/** How answers are made: the system prompt, and how tokens are drawn. */
import { element, part } from "./dom.js";

const PLACE = "quattuor.settings";

/** Fields of requests, with what stands for "as the server has it". */
const FIELDS = [
  { name: "temperature", label: "Temperature", min: 0, max: 2, step: 0.1, usual: 0.7 },
  { name: "top_p", label: "Top p", min: 0, max: 1, step: 0.05, usual: "" },
  { name: "top_k", label: "Top k", min: 0, step: 1, usual: "" },
  { name: "min_p", label: "Min p", min: 0, max: 1, step: 0.01, usual: "" },
  {
    name: "repetition_penalty",
    label: "Repetition penalty",
    min: 0.5,
    max: 2,
    step: 0.05,
    usual: "",
  },
  { name: "presence_penalty", label: "Presence penalty", min: -2, max: 2, step: 0.1, usual: "" },
  { name: "frequency_penalty", label: "Frequency penalty", min: -2, max: 2, step: 0.1, usual: "" },
  { name: "seed", label: "Seed", min: 0, step: 1, usual: "" },
  { name: "max_tokens", label: "Most tokens", min: 1, step: 1, usual: 512 },
];
/** Those that are not behind "More". */
const FIRST = new Set(["temperature", "top_p", "max_tokens"]);

/** Lays the fields out with the values that were left there last. */
export function openSettings() {
  const kept = read();
  for (const { name, label, usual, ...bounds } of FIELDS) {
    const input = element("input", {
      id: name,
      type: "number",
      inputMode: "decimal",
      placeholder: "usual",
      ...Object.fromEntries(Object.entries(bounds).map(([key, value]) => [key, String(value)])),
      value: kept[name] ?? usual,
    });
    const row = element("label", { className: "row", htmlFor: name, text: label });
    row.append(input);
    part(FIRST.has(name) ? "first" : "more").append(row);
  }
  part("system").value = kept.system ?? "";
  part("ways-form").addEventListener("input", keep);
  part("usual").addEventListener("click", () => {
    for (const { name, usual } of FIELDS) part(name).value = usual;
    part("system").value = "";
    keep();
  });
}

/** What requests say by the settings. */
export function wishes() {
  const said = FIELDS.map(({ name }) => [name, part(name).value]).filter(([, value]) =>
    value !== ""
  );
  return Object.fromEntries(said.map(([name, value]) => [name, Number(value)]));
}

/** What the model is told before anything else; undefined where that is nothing. */
export const systemPrompt = () => part("system").value.trim() || undefined;

/** Most tokens that the server takes. */
export function boundTokens(context) {
  part("max_tokens").max = String(context);
}

function keep() {
  const values = FIELDS.map(({ name }) => [name, part(name).value]);
  write({ ...Object.fromEntries(values), system: part("system").value });
}

/** A browser may keep nothing: then settings last as long as the page. */
function read() {
  try {
    return JSON.parse(localStorage.getItem(PLACE)) ?? {};
  } catch {
    return {};
  }
}

function write(values) {
  try {
    localStorage.setItem(PLACE, JSON.stringify(values));
  } catch {
    // As above.
  }
}
