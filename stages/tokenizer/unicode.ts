/**
 * Characters as the Rust library takes them where its tables are older or newer than Unicode's
 * here. Found by asking it (tokenizers 0.23.3) about every code point there is.
 */

/** A class of a regular expression, of ranges in hexadecimal. */
function ranges(list: string): string {
  const parts = list.split(" ").map((range) =>
    range.split("-").map((code) => `\\u{${code}}`).join("-")
  );
  return `[${parts.join("")}]`;
}

const NEWER_PUNCTUATION = ranges(
  "61d 9fd a76 c77 c84 1b4e-1b4f 1b7d-1b7f 2e43-2e4f 2e52-2e5d 10d6e 10ead 10f55-10f59 " +
    "10f86-10f89 113d4-113d5 113d7-113d8 1144b-1144f 1145a-1145b 1145d 11660-1166c 116b9 1183b " +
    "11944-11946 119e2 11a3f-11a46 11a9a-11a9c 11a9e-11aa2 11b00-11b09 11be1 11c41-11c45 " +
    "11c70-11c71 11ef7-11ef8 11f43-11f4f 11fff 12ff1-12ff2 16d6d-16d6f 16e97-16e9a 16fe2 1e5ff " +
    "1e95e-1e95f",
);
const NEWER_MARKS = ranges(
  "7fd 897-89f 8ca-8d3 9fe afa-aff b55 c04 c3c cf3 d00 d3b-d3c d81 eba ece 1715 180f 1abf-1ace " +
    "1cf7 1df6-1dfa a82c a8ff 10d24-10d27 10d69-10d6d 10eab-10eac 10efc-10eff 10f46-10f50 " +
    "10f82-10f85 11070 11073-11074 110c2 11145-11146 111c9 111ce-111cf 11241 1133b 113b8-113c0 " +
    "113c2 113c5 113c7-113ca 113cc-113d0 113d2 113e1-113e2 1145e 1182c-1183a 11930-11935 " +
    "11937-11938 1193b-1193e 11940 11942-11943 119d1-119d7 119da-119e0 119e4 11a01-11a0a " +
    "11a33-11a39 11a3b-11a3e 11a47 11a51-11a5b 11a8a-11a99 11d31-11d36 11d3a 11d3c-11d3d " +
    "11d3f-11d45 11d47 11d8a-11d8e 11d90-11d91 11d93-11d97 11ef3-11ef6 11f00-11f01 11f03 " +
    "11f34-11f3a 11f3e-11f42 11f5a 13440 13447-13455 1611e-1612f 16f4f 16f7f-16f87 16fe4 " +
    "16ff0-16ff1 1cf00-1cf2d 1cf30-1cf46 1e08f 1e130-1e136 1e2ae 1e2ec-1e2ef 1e4ec-1e4ef 1e5ee-1e5ef",
);
/** Further ones that the table of marks without a width lacks. */
const NEWER_NONSPACING = ranges(
  "8d4-8e1 1885-1886 1dfb a8c5 a9bd 1123e 11438-1143f 11442-11444 11446 11c30-11c36 11c38-11c3d " +
    "11c3f 11c92-11ca7 11caa-11cb0 11cb2-11cb3 11cb5-11cb6 1e000-1e006 1e008-1e018 1e01b-1e021 " +
    "1e023-1e024 1e026-1e02a 1e944-1e94a",
);
/** Characters that take another form since the library's tables were made. */
const NEWER_FORMS = ranges(
  "32ff a7f2-a7f4 ab69 105c9 105e4 10781-10785 10787-107b0 107b2-107ba 11383 11385 1138e 11391 " +
    "113c5 113c7-113c8 11938 16121-16128 16d68-16d6a 1ccd6-1ccf9 1e030-1e06d 1f16c 1fbf0-1fbf9",
);

/** Punctuation to those steps that know what it is by themselves. */
export const PUNCTUATION = new RegExp(
  `[[\\p{P}!-\\/:-@\\[-\`\\{-~\\u166d\\u{111c9}]--${NEWER_PUNCTUATION}]`,
  "gv",
);
/** Digits and other numbers. */
export const NUMERIC = /[\p{N}\u{11de0}-\u{11de9}\u{16ff4}-\u{16ff6}]/gu;
/** White space. */
export const WHITE = /\p{White_Space}/gu;
/** Marks that combine with the character before them. */
export const MARKS = new RegExp(`[[\\p{M}\\u1cf2\\u1cf3]--${NEWER_MARKS}]`, "gv");
/** Marks without a width of their own. */
export const NONSPACING_MARKS = new RegExp(
  `[[\\p{Mn}\\u1734\\u{1171e}]--[${NEWER_MARKS}${NEWER_NONSPACING}]]`,
  "gv",
);
/** Control characters and others without a shape. */
export const CONTROL_CHARACTERS =
  /(?![\t\n\r\u0890\u0891\u08e2\u{110cd}\u{13430}-\u{1343f}])[\p{Cc}\p{Cf}\p{Co}]/gu;
/** What the clean-up for machine translation removes, and what it makes a space. */
export const NMT_REMOVED = new RegExp(ranges("1-8 b e-1f 7f 8f 9f"), "gu");
/** See `NMT_REMOVED`. */
export const NMT_SPACES = new RegExp(
  ranges("9-a c-d 1680 200b-200f 2028-2029 2581 feff fffd"),
  "gu",
);
/** Characters of words, as Rust's regex crate has `\w`. */
export const WORD_CLASS = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}";

const FORMS = new RegExp(`(${NEWER_FORMS}+)`, "v");

/** A text in a form of Unicode's. */
export function normalForm(text: string, form: "NFC" | "NFD" | "NFKC" | "NFKD"): string {
  if (form === "NFC" || !FORMS.test(text)) return text.normalize(form);
  return text.split(FORMS).map((part, at) => at % 2 ? part : part.normalize(form)).join("");
}

/** Small letters for large ones, one by one: the library knows no final sigma. */
export function lowercase(text: string): string {
  const lower = text.includes("Σ")
    ? text.split("Σ").map((part) => part.toLowerCase()).join("σ")
    : text.toLowerCase();
  return lower.replace(/[\ua7ce\ua7d2\ua7d4\u{16ea0}-\u{16eb8}]/gu, (letter) => {
    const code = letter.codePointAt(0)!;
    return String.fromCodePoint(code + (code > 0xffff ? 27 : 1));
  });
}
