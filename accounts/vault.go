package accounts

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// KeySize is the length of a vault's key in bytes: AES-256.
const KeySize = 32

// What a sealed text begins with: the mark, and which key it was sealed with. Texts that were sealed before keys were named begin with their nonce.
const (
	sealMark        = "HYK1"
	fingerprintSize = 8
	headerSize      = len(sealMark) + fingerprintSize
)

// Vault seals secrets for the database with AES-256-GCM. It seals with the current key and opens what that or a previous one has sealed, so that the
// key can be changed while the program runs: see Rotation.
type Vault struct {
	keys []vaultKey // the current one first
}

// vaultKey is a key that is ready for use, and the header of what it seals.
type vaultKey struct {
	aead   cipher.AEAD
	header []byte
}

// NewVault returns a Vault with the installation's key, and with those that it was sealed with before.
func NewVault(key []byte, previous ...[]byte) (*Vault, error) {
	v := &Vault{}
	for _, k := range append([][]byte{key}, previous...) {
		if len(k) != KeySize {
			return nil, fmt.Errorf("the secret key has %d bytes, not %d", len(k), KeySize)
		}
		block, err := aes.NewCipher(k)
		if err != nil {
			return nil, fmt.Errorf("make the vault: %w", err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, fmt.Errorf("make the vault: %w", err)
		}
		v.keys = append(v.keys, vaultKey{aead: aead, header: append([]byte(sealMark), fingerprint(k)...)})
	}
	return v, nil
}

// fingerprint names a key without giving it away: a hash of 256 random bits cannot be searched backwards.
func fingerprint(key []byte) []byte {
	sum := sha256.Sum256(append([]byte("hongyan secret key\x00"), key...))
	return sum[:fingerprintSize]
}

// Fingerprint names the current key, for messages to people.
func (v *Vault) Fingerprint() string { return hex.EncodeToString(v.keys[0].header[len(sealMark):]) }

// Seal encrypts a secret with the current key. The result is a header that names the key, the nonce, and the ciphertext.
func (v *Vault) Seal(secret []byte) ([]byte, error) {
	k := &v.keys[0]
	sealed := make([]byte, headerSize+k.aead.NonceSize(), headerSize+k.aead.NonceSize()+len(secret)+k.aead.Overhead())
	copy(sealed, k.header)
	nonce := sealed[headerSize:]
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("seal a secret: %w", err)
	}
	return k.aead.Seal(sealed, nonce, secret, k.header), nil
}

// errSealed hides the cause on purpose: a wrong key and a changed text look the same.
var errSealed = errors.New("a sealed secret does not open: the secret key is not the one that it was sealed with, or the row was changed")

// Open is the inverse of Seal. It takes what any of the keys has sealed.
func (v *Vault) Open(sealed []byte) ([]byte, error) {
	secret, _, err := v.open(sealed)
	return secret, err
}

// open also tells which of the keys it was.
func (v *Vault) open(sealed []byte) (secret []byte, key int, err error) {
	for i := range v.keys {
		if secret, ok := v.keys[i].openNamed(sealed); ok {
			return secret, i, nil
		}
	}
	for i := range v.keys {
		if secret, ok := v.keys[i].openRaw(sealed, nil); ok {
			return secret, i, nil
		}
	}
	return nil, 0, errSealed
}

func (k *vaultKey) openNamed(sealed []byte) ([]byte, bool) {
	if !bytes.HasPrefix(sealed, k.header) {
		return nil, false
	}
	return k.openRaw(sealed[headerSize:], k.header)
}

// openRaw opens a nonce and the ciphertext behind it.
func (k *vaultKey) openRaw(sealed, header []byte) ([]byte, bool) {
	n := k.aead.NonceSize()
	if len(sealed) < n {
		return nil, false
	}
	secret, err := k.aead.Open(nil, sealed[:n], sealed[n:], header)
	return secret, err == nil
}

// current reports whether a text says that it was sealed with the current key.
func (v *Vault) current(sealed []byte) bool { return bytes.HasPrefix(sealed, v.keys[0].header) }

// sealedWith is the fingerprint of the key that a text says it was sealed with, "" if it says none.
func sealedWith(sealed []byte) string {
	if len(sealed) < headerSize || !bytes.HasPrefix(sealed, []byte(sealMark)) {
		return ""
	}
	return hex.EncodeToString(sealed[len(sealMark):headerSize])
}
