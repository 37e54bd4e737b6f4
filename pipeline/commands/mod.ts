export { run } from "./run.ts";
export { plan } from "./plan.ts";
export { stages } from "./stages.ts";
export { schema } from "./schema.ts";
export { serve } from "./serve.ts";
