# The stack of snapback from the template of a release. The template and its parameters are not repeated here: CloudFormation
# checks the parameters, and refuses one that the template does not have.

terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "name" {
  description = "The name of the CloudFormation stack, for `snapback --stack`."
  type        = string
  default     = "snapback"
}

variable "template_url" {
  description = "The address in S3 of a release's template, snapback.yaml. It is too large to be passed as text."
  type        = string
}

variable "parameters" {
  description = "The template's parameters by name, for instance CodeBucket. A list is one text with commas."
  type        = map(string)
  default     = {}
}

variable "tags" {
  description = "Tags of the stack, which CloudFormation gives to its resources."
  type        = map(string)
  default     = {}
}

variable "notification_arns" {
  description = "SNS topics that hear of the stack's updates."
  type        = list(string)
  default     = []
}

resource "aws_cloudformation_stack" "snapback" {
  name              = var.name
  template_url      = var.template_url
  parameters        = var.parameters
  tags              = var.tags
  notification_arns = var.notification_arns
  capabilities      = ["CAPABILITY_IAM"]
}

output "outputs" {
  description = "All outputs of the stack by name, for instance OperatorPolicyArn."
  value       = aws_cloudformation_stack.snapback.outputs
}
