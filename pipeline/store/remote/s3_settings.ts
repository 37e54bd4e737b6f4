/** Where a bucket is and who may use it. */
export interface BucketSettings {
  /** As it was named: `s3://bucket/prefix`. */
  readonly place: string;
  readonly bucket: string;
  /** Before names of objects: "" or one that ends in a slash. */
  readonly prefix: string;
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** Gives values of environment variables. */
export type Environment = (name: string) => string | undefined;

/** Reads `s3://bucket/prefix` and the usual AWS variables; throws a TypeError that names what is missing. */
export function bucketSettings(place: string, env: Environment): BucketSettings {
  const [, bucket = "", path = ""] = /^s3:\/\/([a-z0-9][a-z0-9._-]+)(\/.*)?$/i.exec(place) ?? [];
  const names = path.split("/").filter((name) => name !== "");
  if (bucket === "" || names.some((name) => name === "." || name === "..")) {
    throw new TypeError(`Cannot read the remote ${place}: expected s3://bucket/prefix`);
  }
  const missing: string[] = [];
  const need = (...variables: readonly string[]): string => {
    const value = variables.map(env).find((text) => text);
    if (value === undefined) missing.push(variables.join(" or "));
    return value ?? "";
  };
  const region = need("AWS_REGION", "AWS_DEFAULT_REGION");
  const accessKeyId = need("AWS_ACCESS_KEY_ID");
  const secretAccessKey = need("AWS_SECRET_ACCESS_KEY");
  if (missing.length > 0) {
    const are = missing.length > 1 ? "are" : "is";
    throw new TypeError(
      `Cannot open the remote ${place}: ${missing.join(", ")} ${are} not set, expected in the ` +
        "environment; services other than AWS need AWS_ENDPOINT_URL too",
    );
  }
  const sessionToken = env("AWS_SESSION_TOKEN");
  return {
    place: `s3://${[bucket, ...names].join("/")}`,
    bucket,
    prefix: names.map((name) => `${name}/`).join(""),
    endpoint: readEndpoint(env) ?? `https://s3.${region}.amazonaws.com`,
    region,
    accessKeyId,
    secretAccessKey,
    ...sessionToken && { sessionToken },
  };
}

function readEndpoint(env: Environment): string | undefined {
  const name = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"].find(env);
  if (name === undefined) return undefined;
  const text = env(name) ?? "";
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.search || url.username) {
    throw new TypeError(`Cannot use ${name}=${text}: expected a URL such as http://127.0.0.1:9000`);
  }
  return url.href.replace(/\/+$/, "");
}
