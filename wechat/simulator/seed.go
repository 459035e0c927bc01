package simulator

import "math/rand/v2"

// mix hashes numbers into one (splitmix64 over each), so that everything invented follows
// from the seed alone, whatever goroutine asks first.
func mix(parts ...uint64) uint64 {
	h := uint64(0x9e3779b97f4a7c15)
	for _, p := range parts {
		h ^= p
		h += 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}

// unit maps a hash to [0, 1).
func unit(h uint64) float64 { return float64(h>>11) / (1 << 53) }

// hashText is FNV-1a with a final mix: the same on every run, unlike maphash.
func hashText(text string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h ^= uint64(text[i])
		h *= 1099511628211
	}
	return mix(h)
}

const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// letters returns n base64url letters that follow from the numbers.
func letters(n int, parts ...uint64) string {
	rng := rand.New(rand.NewPCG(mix(parts...), 0x5eed)) //nolint:gosec // invented data, not secrets
	out := make([]byte, n)
	for i := range out {
		out[i] = base64url[rng.Uint64()>>58]
	}
	return string(out)
}

// OpenID is the identity of an account's fan number index: 28 letters, starting with 'o',
// the first six shared by the account's fans as on the platform.
func OpenID(seed uint64, appID string, index int) string {
	app := hashText(appID)
	return "o" + letters(5, seed, app) + letters(22, seed, app, uint64(index)+1)
}
