module github.com/stronghold-go/stronghold/itest/compare

go 1.26.0

replace github.com/stronghold-go/stronghold => ../..

require (
	github.com/stronghold-go/stronghold v0.0.0-00010101000000-000000000000
	golang.org/x/crypto v0.58.0
)

require (
	github.com/miekg/pkcs11 v1.1.2
	golang.org/x/sys v0.49.0 // indirect
	google.golang.org/protobuf v1.36.11 // indirect
)
