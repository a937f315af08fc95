// Judges a token as Vault's jwt auth does, with the library under it (github.com/hashicorp/cap): discovery at the issuer,
// its keys, signature, issuer, audience and times. Prints the claims; exit 0 accepted, 2 refused.
//
//	oidc ISSUER CA.pem AUDIENCE ALGORITHM TOKEN
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/cap/jwt"
)

func main() {
	if len(os.Args) != 6 {
		fmt.Fprintln(os.Stderr, "usage: oidc ISSUER CA.pem AUDIENCE ALGORITHM TOKEN")
		os.Exit(1)
	}
	claims, err := judge(os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5])
	if err != nil {
		fmt.Println("refused:", err)
		os.Exit(2)
	}
	_ = json.NewEncoder(os.Stdout).Encode(claims)
}

func judge(issuer, authorities, audience, algorithm, token string) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	pem, err := os.ReadFile(authorities)
	if err != nil {
		return nil, err
	}
	keys, err := jwt.NewOIDCDiscoveryKeySet(ctx, issuer, string(pem))
	if err != nil {
		return nil, err
	}
	validator, err := jwt.NewValidator(keys)
	if err != nil {
		return nil, err
	}
	return validator.Validate(ctx, token, jwt.Expected{
		Issuer:            issuer,
		Audiences:         []string{audience},
		SigningAlgorithms: []jwt.Alg{jwt.Alg(algorithm)},
	})
}
