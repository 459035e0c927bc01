package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// cost is how hard a password is to guess from its hash. Stored with each hash, so that it can be raised.
type cost struct {
	kib, rounds uint32
	lanes       uint8
}

// passwordCost is OWASP's recommendation of 2024 for argon2id: 19 MiB, 2 rounds, one lane.
var passwordCost = cost{kib: 19 * 1024, rounds: 2, lanes: 1}

const (
	saltBytes = 16
	hashBytes = 32
	// secretBytes is 256 bits: sessions and tokens cannot be guessed, so that a plain hash of them is enough.
	secretBytes = 32
)

// hashPassword makes the text that is stored, in the usual form: $argon2id$v=19$m=…,t=…,p=…$salt$hash.
func hashPassword(password string, k cost) string {
	salt := randomBytes(saltBytes)
	sum := argon2.IDKey([]byte(password), salt, k.rounds, k.kib, k.lanes, hashBytes)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, k.kib, k.rounds, k.lanes,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(sum))
}

// checkPassword compares a password with what is stored. What cannot be read fits no password.
func checkPassword(stored, password string) bool {
	parts := strings.Split(stored, "$")
	var k cost
	var version int
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false
	}
	if _, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &k.kib, &k.rounds, &k.lanes); err != nil || version != argon2.Version {
		return false
	}
	salt, saltErr := base64.RawStdEncoding.DecodeString(parts[4])
	sum, sumErr := base64.RawStdEncoding.DecodeString(parts[5])
	if saltErr != nil || sumErr != nil || len(sum) != hashBytes || k.rounds == 0 || k.lanes == 0 {
		return false
	}
	return subtle.ConstantTimeCompare(sum, argon2.IDKey([]byte(password), salt, k.rounds, k.kib, k.lanes, hashBytes)) == 1
}

func randomBytes(n int) []byte {
	out := make([]byte, n)
	_, _ = rand.Read(out) // it never fails: the program ends when the system has no randomness
	return out
}

// newSecret makes the value of a cookie or a token.
func newSecret() string { return base64.RawURLEncoding.EncodeToString(randomBytes(secretBytes)) }

// hashSecret is how a secret is stored and looked up.
func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
