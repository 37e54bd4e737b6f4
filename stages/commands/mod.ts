export { advise } from "./advise.ts";
export { importConfig as "import-config" } from "./import_config.ts";
export { models } from "./models.ts";
export { newManifest as new } from "./new.ts";
export { serve } from "./serve.ts";
export { verifyExport as "verify-export" } from "./verify_export.ts";
