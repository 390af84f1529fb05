// Opens the sample pages of reports in a real browser, as a reader does: light and dark, on a screen, on a phone and for print.
//
// browser.mjs [--pictures DIRECTORY] PAGE ...
// browser.mjs --picture FILE PAGE        only draws the top of the page, for the README
//
// A page must cause no error on the console and no request, run no script, be no wider than the window, and have no finding
// of axe-core. CHROMIUM names the browser, chromium by default.

import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(new URL("../.tools/browser/browser/package.json", import.meta.url));
const { chromium } = require("playwright-core");
const axe = require.resolve("axe-core/axe.min.js");

const VIEWS = [
  { name: "light", colorScheme: "light", viewport: { width: 1160, height: 900 } },
  { name: "dark", colorScheme: "dark", viewport: { width: 1160, height: 900 } },
  { name: "phone", colorScheme: "light", viewport: { width: 390, height: 844 } },
];
// Without these, the browser looks for updates at every start.
const QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"];

async function check(browser, page, view, pictures) {
  const found = [];
  // The page's policy allows no script, so axe-core needs a way around it. The page itself has none.
  const context = await browser.newContext({ ...view, bypassCSP: true });
  const tab = await context.newPage();
  const address = pathToFileURL(resolve(page)).href;
  tab.on("console", (message) => message.type() === "error" && found.push(`console: ${message.text()}`));
  tab.on("pageerror", (error) => found.push(`error: ${error.message}`));
  tab.on("dialog", (dialog) => {
    found.push("a script ran");
    return dialog.dismiss();
  });
  tab.on("request", (request) => request.url() !== address && found.push(`request: ${request.url()}`));
  await tab.goto(address);
  const markup = await tab.evaluate(() => document.querySelectorAll("script, img, iframe, link").length);
  if (markup > 0) found.push(`${markup} elements that can load something`);
  const width = await tab.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  if (width > 0) found.push(`${width} pixels wider than the window`);
  await tab.addScriptTag({ path: axe });
  const { violations } = await tab.evaluate(() => window.axe.run());
  for (const { id, nodes } of violations) found.push(`axe: ${id}: ${nodes.length}, such as ${nodes[0].html.slice(0, 200)}`);
  if (pictures) {
    mkdirSync(pictures, { recursive: true });
    const picture = join(pictures, `${basename(page, ".html")}-${view.name}.png`);
    await tab.screenshot({ path: picture, fullPage: !page.includes("thousand") });
  }
  await context.close();
  return found.map((finding) => `${basename(page)}, ${view.name}: ${finding}`);
}

async function draw(browser, picture, page) {
  const tab = await browser.newPage({ ...VIEWS[0], viewport: { width: 1160, height: 1165 } });
  await tab.goto(pathToFileURL(resolve(page)).href);
  await tab.screenshot({ path: picture });
}

const words = process.argv.slice(2);
const pictures = words[0] === "--pictures" ? words.splice(0, 2)[1] : undefined;
const executablePath = process.env.CHROMIUM || "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: QUIET, chromiumSandbox: process.getuid() !== 0 });
const findings = [];
try {
  if (words[0] === "--picture") {
    await draw(browser, words[1], words[2]);
    words.length = 0;
  }
  for (const page of words) for (const view of VIEWS) findings.push(...(await check(browser, page, view, pictures)));
} finally {
  await browser.close();
}
for (const finding of findings) console.error(finding);
if (words.length > 0) console.log(`${words.length} pages in ${VIEWS.length} views: ${findings.length} findings`);
process.exitCode = findings.length > 0 ? 1 : 0;
