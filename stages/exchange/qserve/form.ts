import { type LinearScheme, schemeKind, type WeightScheme } from "../../quant/schemes.ts";
import type { PartOutline } from "../checkpoint_format.ts";
import type { CodedLinear } from "../subject.ts";

/**
 * What QServe's engine has kernels for: 4-bit codes with a scale an output (`channel`), with integer
 * scales a group under it (`groups`), and 8-bit codes (`bytes`). Inputs have 8 bits in all.
 */
export type QserveForm = "channel" | "groups" | "bytes";

/** What `quantization_config` calls the format: SGLang's name for 4 bits first. */
export const QUANT_METHODS = ["qoq", "qserve"] as const;

/** Columns of a group that the kernels are built for. */
export const KERNEL_GROUP = 128;

/** Each form in words. */
export const FORM_WORDS: Readonly<Record<QserveForm, string>> = {
  channel: "4 bits with a scale an output",
  groups: "4 bits in two levels",
  bytes: "8 bits without a zero point",
};

/** The form that holds codes of a scheme; undefined where none does. */
export function formOf(scheme: WeightScheme): QserveForm | undefined {
  const { bits, zero } = scheme;
  switch (schemeKind(scheme)) {
    case "two_level":
      return bits === 4 ? "groups" : undefined;
    case "grouped":
      return undefined;
    case "plain":
      if (bits === 4) return "channel";
      return bits === 8 && zero === "none" ? "bytes" : undefined;
  }
}

/** The schemes that files in each form hold; zero points are kept times their scale. */
export function qserveScheme(form: QserveForm, group: number): LinearScheme {
  const inputs = { bits: 8, range: "dynamic" } as const;
  if (form === "bytes") {
    return { weights: { bits: 8, zero: "none", group: "row", levels: 1 }, inputs };
  }
  const grouped = form === "groups"
    ? { group, levels: 2 } as const
    : { group: "row", levels: 1 } as const;
  return { weights: { bits: 4, zero: "post_scale", ...grouped }, inputs };
}

/** The tensors of a linear in each form (.github/ALGORITHMS.md#qserve-tensors). */
export function qserveParts(
  { rows, columns, scheme: { weights } }: Pick<CodedLinear, "rows" | "columns" | "scheme">,
): readonly PartOutline[] {
  const form = formOf(weights);
  const vector = (part: string): PartOutline => (
    { part, dtypes: ["F16", "F32", "BF16"], shape: [rows] }
  );
  if (form === "bytes") {
    return [
      { part: "weight", dtypes: ["I8"], shape: [rows, columns] },
      vector("dequant_scale"),
    ];
  }
  const codes: PartOutline = {
    part: "qweight",
    dtypes: ["I8", "U8"],
    shape: [rows, columns / 2],
  };
  if (form === "channel") return [codes, vector("s1_scales"), vector("s1_szeros")];
  const groups = columns / Number(weights.group);
  return [
    codes,
    vector("s1_scales"),
    { part: "s2_scales", dtypes: ["I8", "U8"], shape: [groups, rows] },
    { part: "s2_zeros", dtypes: ["I8"], shape: [groups, rows] },
  ];
}
