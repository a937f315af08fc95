// JWE by another implementation than ours, and with another RSA: go-jose over Go's own crypto.
//
//	jose key KIND KEY.json              a new key, rsa or p256, private; prints the public one as JWK
//	jose open KEY.json JWE              prints what is in it; exit 2 where that does not go
//	jose header JWE                     prints its protected header
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/go-jose/go-jose/v4"
)

var errRefused = errors.New("refused")

func main() {
	err := errors.New("usage: jose key rsa|p256 KEY.json | jose open KEY.json JWE | jose header JWE")
	switch arguments := os.Args[1:]; {
	case len(arguments) == 3 && arguments[0] == "key":
		err = makeKey(arguments[1], arguments[2])
	case len(arguments) == 3 && arguments[0] == "open":
		err = open(arguments[1], arguments[2])
	case len(arguments) == 2 && arguments[0] == "header":
		err = header(arguments[1])
	}
	if errors.Is(err, errRefused) {
		fmt.Println(err)
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func makeKey(kind, file string) error {
	var private any
	var public jose.JSONWebKey
	switch kind {
	case "rsa":
		key, err := rsa.GenerateKey(rand.Reader, 3072)
		if err != nil {
			return err
		}
		private, public.Key, public.Algorithm = key, &key.PublicKey, string(jose.RSA_OAEP_256)
	case "p256":
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		private, public.Key, public.Algorithm = key, &key.PublicKey, string(jose.ECDH_ES)
	default:
		return fmt.Errorf("%s is no kind of key: rsa or p256", kind)
	}
	public.Use = "enc"
	text, err := json.Marshal(jose.JSONWebKey{Key: private})
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(public)
}

// Only what the service says that it writes is taken.
func parse(jwe string) (*jose.JSONWebEncryption, error) {
	object, err := jose.ParseEncryptedCompact(jwe, []jose.KeyAlgorithm{jose.RSA_OAEP_256, jose.ECDH_ES}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		return nil, fmt.Errorf("%w: %v", errRefused, err)
	}
	return object, nil
}

func open(file, jwe string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var key jose.JSONWebKey
	if err := json.Unmarshal(text, &key); err != nil {
		return err
	}
	object, err := parse(jwe)
	if err != nil {
		return err
	}
	secret, err := object.Decrypt(key.Key)
	if err != nil {
		return fmt.Errorf("%w: %v", errRefused, err)
	}
	_, err = os.Stdout.Write(secret)
	return err
}

func header(jwe string) error {
	object, err := parse(jwe)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"alg": object.Header.Algorithm, "kid": object.Header.KeyID, "enc": object.Header.ExtraHeaders["enc"],
	})
}
