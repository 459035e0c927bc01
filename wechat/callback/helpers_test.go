package callback

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"
)

// sealRaw encrypts framed as it is, padding included: for frames that Encrypt would not make.
func sealRaw(t testing.TB, c *Crypto, framed []byte) string {
	t.Helper()
	require.Zero(t, len(framed)%aes.BlockSize)
	out := make([]byte, len(framed))
	cipher.NewCBCEncrypter(c.block, c.iv[:]).CryptBlocks(out, framed)
	return base64.StdEncoding.EncodeToString(out)
}

func pad32(b []byte) []byte {
	pad := padBlock - len(b)%padBlock
	return append(bytes.Clone(b), repeated(pad, byte(pad))...)
}

func repeated(n int, b byte) []byte { return bytes.Repeat([]byte{b}, n) }
