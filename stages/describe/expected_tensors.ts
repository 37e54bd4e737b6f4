import type { Architecture } from "../models/family.ts";
import { explainUnused, isIdle } from "../exchange/unused_tensors.ts";
import type { ModelRecord } from "../models/model_record.ts";
import { moduleOf } from "../models/site.ts";
import { codedTensors } from "../quant/stored_weight.ts";
import { type FoundTensor, list } from "../formats/safetensors/found_files.ts";

/** What is compared: what an architecture and a record ask for, and what the files hold. */
export interface TensorCheck {
  readonly record: Pick<ModelRecord, "linears">;
  readonly architecture: Architecture;
  readonly tensors: ReadonlyMap<string, FoundTensor>;
}

/** Where tensors are missing, of another shape or type, or there twice; a sentence each. */
export function tensorProblems({ architecture, record, tensors }: TensorCheck): string[] {
  const missing: string[] = [];
  const problems: string[] = [];
  for (const [name, shape] of architecture.tensors) {
    const parts = partsOf(name, { architecture, record });
    if (parts && tensors.has(name)) problems.push(`"${name}" is there whole and in codes`);
    const wanted = parts ?? [{ name, shape, dtype: undefined }];
    for (const part of wanted) {
      const found = tensors.get(part.name);
      if (!found && (parts || !isPacked(name, tensors))) missing.push(part.name);
      if (!found || (!parts && !isWhole(found))) continue;
      const [got, want] = [found, part].map(({ shape }) => `[${shape.join(", ")}]`);
      if (got !== want) problems.push(`"${part.name}" is ${got}, expected ${want}`);
      if (part.dtype !== undefined && part.dtype !== found.dtype) {
        problems.push(`"${part.name}" is ${found.dtype}, expected ${part.dtype}`);
      }
    }
  }
  if (missing.length > 0) {
    problems.unshift(`${missing.length} tensors are missing: ${list(missing)}`);
  }
  const known = new Set(architecture.quantizable.map(({ name }) => name));
  const stray = Object.keys(record.linears).filter((name) => !known.has(name));
  if (stray.length > 0) {
    problems.push(`model.json tells of linears it does not have: ${list(stray)}`);
  }
  return problems;
}

/** Names of tensors that nothing asks for. */
export function unusedTensors({ architecture, record, tensors }: TensorCheck): string[] {
  const expected = [...architecture.tensors.keys()];
  const used = new Set(
    expected.flatMap((name) =>
      partsOf(name, { architecture, record })?.map((part) => part.name) ?? [name]
    ),
  );
  const modules = new Set(expected.map(moduleOf));
  return [...tensors.keys()].filter((name) => !used.has(name) && !modules.has(moduleOf(name)));
}

/** What load would say of tensors that nothing reads, where no linear is in codes. */
export function unreadProblems({ architecture, record, tensors }: TensorCheck): readonly string[] {
  if (Object.keys(record.linears).length > 0) return [];
  const { tensors: expected, ownHead } = architecture;
  const unread = [...tensors.keys()]
    .filter((name) => !expected.has(name) && name !== ownHead && !isIdle(name));
  return explainUnused(unread, architecture);
}

/** The tensors that stand for a weight which the model's record calls quantized. */
function partsOf(
  name: string,
  { architecture, record }: Pick<TensorCheck, "architecture" | "record">,
) {
  const linear = architecture.quantizableOf(name);
  const scheme = linear && record.linears[linear.name]?.weights;
  return scheme && codedTensors(linear, scheme);
}

/** Whether other programs' packed tensors stand in a weight's place. */
function isPacked(name: string, tensors: TensorCheck["tensors"]): boolean {
  return ["qweight", "weight_packed"].some((part) => tensors.has(`${moduleOf(name)}.${part}`));
}

/** Whether a tensor holds a value an element: packed bytes have shapes of their own. */
function isWhole({ dtype }: FoundTensor): boolean {
  return dtype !== "U8" && dtype !== "I32" && dtype !== "U32";
}
