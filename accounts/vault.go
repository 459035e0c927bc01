package accounts

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
)

// KeySize is the length of a vault's key in bytes: AES-256.
const KeySize = 32

// Vault seals secrets for the database with AES-256-GCM.
type Vault struct{ aead cipher.AEAD }

// NewVault returns a Vault with the installation's key.
func NewVault(key []byte) (*Vault, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("the secret key has %d bytes, not %d", len(key), KeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make the vault: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("make the vault: %w", err)
	}
	return &Vault{aead: aead}, nil
}

// Seal encrypts a secret. The result begins with its nonce.
func (v *Vault) Seal(secret []byte) ([]byte, error) {
	nonce := make([]byte, v.aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("seal a secret: %w", err)
	}
	return v.aead.Seal(nonce, nonce, secret, nil), nil
}

// errSealed hides the cause on purpose: a wrong key and a changed text look the same.
var errSealed = errors.New("a sealed secret does not open: the secret key is not the one that it was sealed with, or the row was changed")

// Open is the inverse of Seal.
func (v *Vault) Open(sealed []byte) ([]byte, error) {
	n := v.aead.NonceSize()
	if len(sealed) < n {
		return nil, errSealed
	}
	secret, err := v.aead.Open(nil, sealed[:n], sealed[n:], nil)
	if err != nil {
		return nil, errSealed
	}
	return secret, nil
}
