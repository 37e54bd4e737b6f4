/** One answer of one model as it comes. */
import { button, copy, element } from "./dom.js";
import { showMarkdown } from "./markdown.js";
import { ask, events } from "./server.js";

/** Milliseconds between two looks at how fast it comes. */
const TELL_MS = 250;

/** Makes the place of an answer; `title` says whose it is. */
export function answerPlace({ title, plain }) {
  const words = element("div", { className: plain ? "words plain" : "words" });
  const note = element("p", { className: "quiet" });
  const tools = element("div", { className: "tools" });
  const whole = element("article", { className: "turn model" });
  if (title) whole.append(element("h2", { text: title }));
  whole.append(words, note, tools);
  return { whole, words, note, tools, plain };
}

/** Shows an answer as far as it is there. */
export function showAnswer({ whole, words, note, tools, plain }, answer) {
  if (answer.thought) {
    let details = whole.querySelector(".thought");
    if (!details) {
      details = element(
        "details",
        { className: "thought" },
        element("summary", { text: "Thoughts" }),
      );
      details.append(element("p"));
      words.before(details);
    }
    details.lastElementChild.textContent = answer.thought;
  }
  if (plain) words.textContent = answer.text;
  else showMarkdown(words, answer.text);
  note.textContent = answer.note ?? "";
  if (tools.children.length === 0 && answer.text !== "" && !whole.classList.contains("busy")) {
    tools.append(button("Copy", (from) => copy(answer.text, from)));
  }
  whole.querySelector(".trouble")?.remove();
  if (answer.trouble) note.before(element("p", { className: "trouble", text: answer.trouble }));
}

/**
 * Asks for an answer and shows it as it comes; `answer` holds what came, also where it was stopped. What is
 * drawn is drawn within `around`.
 */
export async function stream(place, { path, body, answer, signal, around }) {
  const { whole } = place;
  whole.classList.add("busy");
  const start = performance.now();
  let [first, usage, reason] = [undefined, undefined, undefined];
  let [count, told, drawn] = [0, 0, 0];
  const draw = () => {
    drawn = 0;
    around(() => showAnswer(place, answer));
    const now = performance.now();
    if (now - told > TELL_MS && count > 1) {
      told = now;
      answer.note = `${count} tokens, ${rate(count, now - first)}`;
    }
  };
  try {
    const response = await ask(path, { body, signal });
    for await (const event of events(response)) {
      if (event.error) throw new Error(event.error.message);
      usage = event.usage ?? usage;
      const [choice] = event.choices;
      if (!choice) continue;
      reason = choice.finish_reason ?? reason;
      const more = choice.delta?.content ?? choice.text ?? "";
      const thought = choice.delta?.reasoning_content ?? "";
      if (more + thought === "") continue;
      first ??= performance.now();
      count++;
      answer.thought = (answer.thought ?? "") + thought;
      // Models that put a space before every word begin answers with one.
      answer.text = place.plain ? answer.text + more : (answer.text + more).trimStart();
      if (drawn === 0) drawn = requestAnimationFrame(draw);
    }
  } catch (error) {
    if (error.name === "AbortError") reason = "stopped";
    else answer.trouble = error.message;
  }
  cancelAnimationFrame(drawn);
  whole.classList.remove("busy");
  answer.note = noteOf({ usage, reason, start, first, count });
  around(() => showAnswer(place, answer));
}

const rate = (count, ms) => `${((count - 1) / ms * 1000).toFixed(1)} a second`;

function noteOf({ usage, reason, start, first, count }) {
  const now = performance.now();
  const said = [];
  if (first !== undefined) {
    const tokens = usage?.completion_tokens ?? count;
    said.push(`${tokens} tokens${tokens > 1 ? `, ${rate(tokens, now - first)}` : ""}`);
    said.push(`first after ${((first - start) / 1000).toFixed(2)} s`);
    if (usage) said.push(`prompt of ${usage.prompt_tokens}`);
  }
  if (reason === "length") said.push("cut at the most tokens");
  if (reason === "stopped") said.push("stopped");
  return said.join(" · ");
}
