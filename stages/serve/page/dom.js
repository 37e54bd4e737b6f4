/** Elements of the page. */

/** The element with an id. */
export const part = (id) => document.getElementById(id);

/** Makes an element; texts of a server are put in as text only, so that nothing in them runs. */
export function element(name, { text, className, ...more } = {}, ...children) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  Object.assign(made, more);
  made.append(...children);
  return made;
}

/** A button that does something. */
export function button(text, act, { className = "small", ...more } = {}) {
  const made = element("button", { text, className, type: "button", ...more });
  made.addEventListener("click", () => act(made));
  return made;
}

/** Fills a list with facts; those without a value are left out. */
export function showFacts(list, facts) {
  list.replaceChildren(
    ...facts.filter(([, value]) => value !== undefined).map(([name, value]) =>
      element("div", {}, element("dt", { text: name }), element("dd", { text: value }))
    ),
  );
}

/** Puts a text on the clipboard, and says so on the button for a moment. */
export async function copy(text, from) {
  from.dataset.label ??= from.textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Pages of other hosts without a certificate have no clipboard but this one.
    const box = element("textarea", { value: text });
    from.after(box);
    box.select();
    document.execCommand("copy");
    box.remove();
    from.focus();
  }
  from.textContent = "Copied";
  setTimeout(() => from.textContent = from.dataset.label, 1200);
}

/** Has the browser keep a text as a file. */
export function download(name, text, type) {
  const link = element("a", {
    href: URL.createObjectURL(new Blob([text], { type })),
    download: name,
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
