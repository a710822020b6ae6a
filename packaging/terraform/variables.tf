variable "region" {
  description = "Where all of it is."
  type        = string
  default     = "eu-central-1"
}

variable "name" {
  description = "What names begin with."
  type        = string
  default     = "hubward"
}

variable "vpc_cidr" {
  description = "The network of the VPC; its first half is the public subnet, its second the private one."
  type        = string
  default     = "10.0.0.0/16"
}

variable "users_from" {
  description = "From where users come: to the VPN, and to what is published."
  type        = list(string)
  default     = ["0.0.0.0/0"]
}

variable "published_ports" {
  description = "TCP ports that rules of the server publish (DnatAdd, or --publish in the user data)."
  type        = list(number)
  default     = [80]
}

variable "instance_type" {
  description = "The size of the NAT instance."
  type        = string
  default     = "t3.small"
}
