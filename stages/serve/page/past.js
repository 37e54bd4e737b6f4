/** The list of earlier chats. */
import { button, element, part } from "./dom.js";
import { allChats, exportAll, exportChat, forget, titleOf } from "./chats.js";

/** Shows the chats that are kept; `open` shows one of them, `gone` is called where it was forgotten. */
export function showPast({ current, open, gone }) {
  const again = () => showPast({ current, open, gone });
  const rows = allChats().map((chat) => {
    const name = button(titleOf(chat), () => open(chat), { className: "name" });
    if (chat.id === current) name.setAttribute("aria-current", "true");
    const more = element("details", { className: "menu" });
    const act = (text, does) => button(text, () => (more.open = false, does()));
    more.append(
      element("summary", { text: "…", ariaLabel: `What to do with ${titleOf(chat)}` }),
      element(
        "div",
        {},
        act("Markdown", () => exportChat(chat, "markdown")),
        act("JSON", () => exportChat(chat, "json")),
        act("Delete", () => {
          forget(chat.id);
          if (chat.id === current) gone();
          again();
        }),
      ),
    );
    return element("li", {}, name, more);
  });
  part("chats").replaceChildren(...rows);
  part("none").hidden = rows.length > 0;
  part("export-all").hidden = part("delete-all").hidden = rows.length === 0;
  part("export-all").onclick = exportAll;
  part("delete-all").onclick = () => {
    if (!confirm("Delete all chats of this browser?")) return;
    forget();
    gone();
    again();
  };
}
