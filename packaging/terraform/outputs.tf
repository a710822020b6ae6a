output "address" {
  description = "What users connect to: vpnclient connect ADDRESS."
  value       = aws_eip.nat.public_ip
}

output "private_subnet" {
  description = "Where private hosts belong."
  value       = aws_subnet.private.id
}

output "private_security_group" {
  description = "The security group of private hosts."
  value       = aws_security_group.private.id
}
