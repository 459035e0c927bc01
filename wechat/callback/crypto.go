package callback

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1" //nolint:gosec // the platform's protocol prescribes SHA-1
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
)

const (
	encodedKeyLen = 43 // characters of an EncodingAESKey
	randomLen     = 16 // random bytes before the length field
	lengthLen     = 4  // big-endian length of the message
	padBlock      = 32 // PKCS#7 block of the protocol; AES itself has blocks of 16
)

// Crypto encrypts and decrypts with one EncodingAESKey (platform.md 2.2): AES-256-CBC,
// the IV is the first half of the key, the plaintext is framed as random + length +
// message + appid and padded to a multiple of 32.
type Crypto struct {
	block cipher.Block
	iv    [aes.BlockSize]byte
}

// NewCrypto reads an EncodingAESKey: exactly 43 characters of Base64 without its "=".
func NewCrypto(encodingAESKey string) (*Crypto, error) {
	if len(encodingAESKey) != encodedKeyLen {
		return nil, fmt.Errorf("EncodingAESKey has %d characters, %d are needed", len(encodingAESKey), encodedKeyLen)
	}
	// The text of a decoding error would quote a part of the key.
	key, err := base64.StdEncoding.DecodeString(encodingAESKey + "=")
	if err != nil {
		return nil, errors.New("EncodingAESKey holds characters other than letters and digits")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("EncodingAESKey: %w", err)
	}
	c := &Crypto{block: block}
	copy(c.iv[:], key)
	return c, nil
}

// Encrypt frames plain and returns its ciphertext in Base64. random must be
// unpredictable in production; a test or a seeded simulator passes its own.
func (c *Crypto) Encrypt(appID string, random [randomLen]byte, plain []byte) string {
	size := randomLen + lengthLen + len(plain) + len(appID)
	pad := padBlock - size%padBlock
	framed := make([]byte, 0, size+pad)
	framed = append(framed, random[:]...)
	framed = binary.BigEndian.AppendUint32(framed, uint32(len(plain)))
	framed = append(framed, plain...)
	framed = append(framed, appID...)
	framed = append(framed, bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(c.block, c.iv[:]).CryptBlocks(framed, framed)
	return base64.StdEncoding.EncodeToString(framed)
}

// Decrypt is the inverse of Encrypt. It fails with ErrCipher when the text is not a
// whole, well-framed ciphertext of this key, and with ErrAppID when it was made for
// another account.
func (c *Crypto) Decrypt(appID, encrypted string) ([]byte, error) {
	data, err := base64.StdEncoding.DecodeString(encrypted)
	if err != nil {
		return nil, fmt.Errorf("%w: not Base64", ErrCipher)
	}
	if len(data) == 0 || len(data)%aes.BlockSize != 0 {
		return nil, fmt.Errorf("%w: %d bytes are not a whole number of blocks", ErrCipher, len(data))
	}
	cipher.NewCBCDecrypter(c.block, c.iv[:]).CryptBlocks(data, data)
	plain, err := unpad(data)
	if err != nil {
		return nil, err
	}
	if len(plain) < randomLen+lengthLen {
		return nil, fmt.Errorf("%w: too short for its frame", ErrCipher)
	}
	size := uint64(binary.BigEndian.Uint32(plain[randomLen:]))
	rest := plain[randomLen+lengthLen:]
	if size > uint64(len(rest)) {
		return nil, fmt.Errorf("%w: the length field says %d bytes, %d are there", ErrCipher, size, len(rest))
	}
	if !equal(string(rest[size:]), appID) {
		return nil, ErrAppID
	}
	return rest[:size:size], nil
}

func unpad(data []byte) ([]byte, error) {
	pad := int(data[len(data)-1])
	if pad < 1 || pad > padBlock || pad > len(data) {
		return nil, fmt.Errorf("%w: bad padding", ErrCipher)
	}
	for _, b := range data[len(data)-pad:] {
		if int(b) != pad {
			return nil, fmt.Errorf("%w: bad padding", ErrCipher)
		}
	}
	return data[:len(data)-pad], nil
}

// Sign is hex(sha1(join(sort(parts)))), sorted byte-wise. For the plain signature the
// parts are token, timestamp and nonce; msg_signature adds the ciphertext.
func Sign(parts ...string) string {
	sorted := slices.Clone(parts)
	slices.Sort(sorted)
	h := sha1.New() //nolint:gosec // see the import
	for _, p := range sorted {
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// equal compares in constant time, so that a signature cannot be guessed byte by byte.
func equal(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}
