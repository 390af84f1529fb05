import { CfnInclude } from "aws-cdk-lib/cloudformation-include";
import { Construct } from "constructs";

/** The settings of {@link Snapback}. */
export interface SnapbackProps {
  /** The path of a release's template, `snapback.yaml`. */
  readonly template: string;
  /**
   * The template's parameters by name, for instance `CodeBucket`. A list is an array.
   *
   * A name that the template does not have is an error, and so is a value that it does not allow, when the stack is deployed.
   */
  readonly parameters?: { readonly [name: string]: string | number | string[] };
}

/**
 * The stack of snapback, which runs chaos experiments on Lambda functions and always restores what it changed.
 *
 * It is the release's template as it is: its resources and outputs keep their names, so the command line finds them by the name of
 * the CDK stack (`snapback --stack NAME`). One stack can have one of these.
 */
export class Snapback extends Construct {
  private readonly template: CfnInclude;

  constructor(scope: Construct, id: string, props: SnapbackProps) {
    super(scope, id);
    this.template = new CfnInclude(this, "Template", { templateFile: props.template, parameters: props.parameters });
  }

  /** The state machine of a run; its input is the experiment. */
  get stateMachineArn(): string {
    return this.output("StateMachineArn");
  }

  /** The managed policy for users who only look at runs. */
  get viewerPolicyArn(): string {
    return this.output("ViewerPolicyArn");
  }

  /** The managed policy for users who plan, start and end runs, next to the one for viewers. */
  get operatorPolicyArn(): string {
    return this.output("OperatorPolicyArn");
  }

  /** Returns the value of an output of the template. */
  output(name: string): string {
    return this.template.getOutput(name).value;
  }
}
