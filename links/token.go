package links

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

const (
	// Path begins the path of a tracked address; the token follows.
	Path = "/l/"
	// keySize is the length of a signing key in bytes.
	keySize = 32
	// macSize is how many bytes of the signature a token has: 80 bits, which nobody guesses by asking a server.
	macSize = 10
	// longestID is the most bytes that an id takes: 63 bits, seven to a byte.
	longestID = 9
)

// purpose keeps signatures apart from those of anything else that might ever be signed with the key.
const purpose = "hongyan link\x00"

// tokens writes and reads the tokens of tracked addresses.
type tokens struct{ key []byte }

var encoding = base64.RawURLEncoding.Strict()

// longestToken is the most characters that a token has.
func longestToken() int { return encoding.EncodedLen(2*longestID + macSize) }

// write makes the token of a link in a delivery.
func (t tokens) write(linkID, deliveryID int64) string {
	b := make([]byte, 0, 2*binary.MaxVarintLen64+macSize)
	b = binary.AppendUvarint(b, uint64(linkID)) // ids are above 0
	b = binary.AppendUvarint(b, uint64(deliveryID))
	return encoding.EncodeToString(append(b, t.sign(b)...))
}

// read is the inverse of write; false for what write has not made.
func (t tokens) read(token string) (linkID, deliveryID int64, ok bool) {
	if len(token) > longestToken() {
		return 0, 0, false
	}
	b, err := encoding.DecodeString(token)
	if err != nil || len(b) <= macSize {
		return 0, 0, false
	}
	ids, mac := b[:len(b)-macSize], b[len(b)-macSize:]
	if !hmac.Equal(mac, t.sign(ids)) {
		return 0, 0, false
	}
	link, n := binary.Uvarint(ids)
	if n <= 0 {
		return 0, 0, false
	}
	delivery, m := binary.Uvarint(ids[n:])
	if m <= 0 || n+m != len(ids) {
		return 0, 0, false
	}
	return int64(link), int64(delivery), true
}

func (t tokens) sign(ids []byte) []byte {
	mac := hmac.New(sha256.New, t.key)
	mac.Write([]byte(purpose))
	mac.Write(ids)
	return mac.Sum(nil)[:macSize]
}
