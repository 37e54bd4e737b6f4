import { z } from "zod";

/** The linears of a layer by what they read, in the words of DeepCompressor's recipes. */
export const projection = z.enum(["qkv_proj", "out_proj", "up_proj", "down_proj"]);

/** See `projection`; `up_proj` stands for the gate too. */
export type Projection = z.infer<typeof projection>;
