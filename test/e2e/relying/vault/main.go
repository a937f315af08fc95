// Two engines of Vault, unmodified, in a process of their own instead of in a Vault: it would take too long to build one.
//
//	vault login ISSUER CA.pem AUDIENCE CLAIMS TOKEN      what auth/jwt says of a token, for a role that is bound to AUDIENCE
//	                                                     and to CLAIMS (JSON). Exit 0: policies and alias; 2: refused
//	vault transit CERT.pem KEY.pem TOKEN                 the transit engine over HTTPS, at /v1/transit/, for requests with
//	                                                     X-Vault-Token: TOKEN. Prints its address
//
// How requests and answers look over HTTP is ours, made with what Vault's SDK has for it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/hashicorp/go-hclog"
	jwtauth "github.com/hashicorp/vault-plugin-auth-jwt"
	"github.com/hashicorp/vault/builtin/logical/transit"
	"github.com/hashicorp/vault/sdk/logical"
)

var errRefused = errors.New("refused")

func main() {
	err := errors.New("usage: vault login ISSUER CA.pem AUDIENCE CLAIMS TOKEN | vault transit CERT.pem KEY.pem TOKEN")
	switch arguments := os.Args[1:]; {
	case len(arguments) == 6 && arguments[0] == "login":
		err = login(arguments[1], arguments[2], arguments[3], arguments[4], arguments[5])
	case len(arguments) == 4 && arguments[0] == "transit":
		err = serve(arguments[1], arguments[2], arguments[3])
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

// An engine as Vault mounts it, with nothing stored.
type engine struct {
	backend logical.Backend
	storage logical.Storage
}

func mount(factory logical.Factory) (*engine, error) {
	ctx, storage := context.Background(), &logical.InmemStorage{}
	backend, err := factory(ctx, &logical.BackendConfig{
		Logger:      hclog.NewNullLogger(),
		System:      logical.TestSystemView(),
		StorageView: storage,
		BackendUUID: "e2e",
		Config:      map[string]string{},
	})
	if err != nil {
		return nil, err
	}
	return &engine{backend, storage}, backend.Initialize(ctx, &logical.InitializationRequest{Storage: storage})
}

// One request, and the status that Vault would answer with.
func (e *engine) ask(operation logical.Operation, path string, data map[string]any) (*logical.Response, int, error) {
	ctx := context.Background()
	request := &logical.Request{Operation: operation, Path: path, Storage: e.storage, Data: data}
	if operation == logical.UpdateOperation {
		// As Vault's router does: what does not exist yet is created.
		if check, exists, err := e.backend.HandleExistenceCheck(ctx, request); err == nil && check && !exists {
			request.Operation = logical.CreateOperation
		}
	}
	response, err := e.backend.HandleRequest(ctx, request)
	status, err := logical.RespondErrorCommon(request, response, err)
	return response, status, err
}

func login(issuer, authorities, audience, claims, token string) error {
	pem, err := os.ReadFile(authorities)
	if err != nil {
		return err
	}
	var bound map[string]any
	if err := json.Unmarshal([]byte(claims), &bound); err != nil {
		return err
	}
	auth, err := mount(jwtauth.Factory)
	if err != nil {
		return err
	}
	for _, write := range []struct {
		path string
		data map[string]any
	}{
		{"config", map[string]any{
			"oidc_discovery_url": issuer, "oidc_discovery_ca_pem": string(pem), "bound_issuer": issuer, "jwt_supported_algs": []string{"ES256"},
		}},
		{"role/enclave", map[string]any{
			"role_type": "jwt", "user_claim": "sub", "bound_audiences": []string{audience}, "bound_claims": bound, "token_policies": []string{"database"},
		}},
	} {
		if _, status, err := auth.ask(logical.UpdateOperation, write.path, write.data); status != 0 || err != nil {
			return fmt.Errorf("%s: status %d: %w", write.path, status, err)
		}
	}
	response, status, err := auth.ask(logical.UpdateOperation, "login", map[string]any{"role": "enclave", "jwt": token})
	if status != 0 || err != nil {
		return fmt.Errorf("%w: %d: %v", errRefused, status, err)
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"alias": response.Auth.Alias.Name, "policies": response.Auth.Policies})
}

func serve(certificate, key, token string) error {
	secrets, err := mount(transit.Factory)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	return http.ServeTLS(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, ours := strings.CutPrefix(r.URL.Path, "/v1/transit/")
		var data map[string]any
		switch {
		case r.Header.Get("X-Vault-Token") != token:
			logical.RespondError(w, http.StatusForbidden, logical.ErrPermissionDenied)
		case !ours:
			logical.RespondError(w, http.StatusNotFound, errors.New("no handler for route"))
		case r.Method != http.MethodPost && r.Method != http.MethodPut:
			logical.RespondError(w, http.StatusMethodNotAllowed, logical.ErrUnsupportedOperation)
		case json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&data) != nil:
			logical.RespondError(w, http.StatusBadRequest, errors.New("failed to parse JSON input"))
		default:
			response, status, err := secrets.ask(logical.UpdateOperation, path, data)
			if status != 0 || err != nil {
				logical.AdjustErrorStatusCode(&status, err)
				logical.RespondError(w, status, err)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			if response == nil {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			_ = json.NewEncoder(w).Encode(logical.LogicalResponseToHTTPResponse(response))
		}
	}), certificate, key)
}
