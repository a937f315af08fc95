// Asks an attestation service with the unmodified JavaScript client of Azure Attestation, which judges the token that it gets.
//
// usage: node azure_attestation.mjs URL ISSUER QUOTE [JSON]      exit 0: a token, its claims as JSON; 2: refused, and why
// The client demands that ISSUER made the token. JSON: runtime data.
// NODE_EXTRA_CA_CERTS has the authority of the service's certificate.
import { readFileSync } from "node:fs";
import { AttestationClient } from "@azure/attestation";

const [url, issuer, quote, runTimeJson] = process.argv.slice(2);
if (!quote) {
  console.error("usage: node azure_attestation.mjs URL ISSUER QUOTE [JSON]");
  process.exit(1);
}
const client = new AttestationClient(url, {
  retryOptions: { maxRetries: 0 },
  validationOptions: {
    validateToken: true, validateExpirationTime: true, validateNotBeforeTime: true, validateIssuer: true, expectedIssuer: issuer,
  },
});
let result, signers;
try {
  result = await client.attestSgxEnclave(readFileSync(quote), runTimeJson ? { runTimeJson: Buffer.from(runTimeJson) } : {});
  signers = await client.getAttestationSigners();
} catch (refused) {
  console.log(`refused: ${refused.code ?? refused.name}: ${refused.message}`);
  process.exit(2);
}
const { body, token } = result;
console.log(JSON.stringify({
  issuer: body.issuer, mrEnclave: body.mrEnclave, mrSigner: body.mrSigner, productId: body.productId, svn: body.svn,
  isDebuggable: body.isDebuggable, verifierType: body.verifierType, runTimeClaims: body.runTimeClaims,
  policyHash: Buffer.from(body.policyHash ?? []).toString("base64url"), quotehash: body.sgxCollateral?.quotehash,
  algorithm: token.algorithm, keyId: token.keyId, signers: signers.length,
}));
