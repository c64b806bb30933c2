package assertion

import "crypto/ed25519"

// Votes, epochs and supersessions have one signer, who is part of the content:
// their signature is Ed25519 over the 32 raw bytes of their hash, and their
// record is [content, signature].

func signHash(key PrivateKey, hash Hash) SignatureBytes {
	return SignatureBytes(ed25519.Sign(key, hash[:]))
}

func verifyHash(agent *AgentID, hash Hash, signature *SignatureBytes) error {
	if *signature == (SignatureBytes{}) {
		return &Error{Code: CodeUnsigned, Field: "signature", Detail: "no signature",
			Fix: "sign the content hash (docs/signing.md)"}
	}
	if !verifySignature(agent, hash[:], signature) {
		return &Error{Code: CodeSignatureInvalid, Field: "signature",
			Detail: "not a signature of this agent over this content", Fix: "sign the bytes of docs/signing.md"}
	}
	return nil
}

func marshalSigned(content []byte, signature *SignatureBytes) []byte {
	b := make([]byte, 0, recordHead+len(content)+len(signature))
	b = append(b, recordVersion)
	b = appendArray(b, 2)
	b = appendBytes(b, content)
	return appendBytes(b, signature[:])
}

// openSigned reads a record as marshalSigned writes it and returns a reader of
// the content.
func openSigned(b []byte, signature *SignatureBytes) (*cborReader, error) {
	r, err := openRecord(b)
	if err != nil {
		return nil, err
	}
	r.array(2, 2)
	content := r.bytes()
	r.fixed(signature[:])
	if err := r.done(); err != nil {
		return nil, err
	}
	return &cborReader{b: content}, nil
}
