// An app with one stack, as a user would write it: `node app.js TEMPLATE FOLDER STACK [NAME=VALUE...]` writes the stack's template to FOLDER.
import { App, CfnOutput, Stack, Tags } from "aws-cdk-lib";
import { Snapback } from "../lib/index.js";

const [template, outdir, name, ...words] = process.argv.slice(2) as [string, string, string, ...string[]];
const parameters = Object.fromEntries(words.map((word) => [word.slice(0, word.indexOf("=")), word.slice(word.indexOf("=") + 1)]));
const app = new App({ outdir });
const stack = new Stack(app, name, { analyticsReporting: false });
const snapback = new Snapback(stack, "Snapback", { template, parameters });
Tags.of(stack).add("team", "platform");
new CfnOutput(stack, "Machine", { value: snapback.stateMachineArn });
new CfnOutput(stack, "Policies", { value: `${snapback.viewerPolicyArn} ${snapback.operatorPolicyArn}` });
app.synth();
