package callback

import "errors"

// The reasons for which a push is refused. Each is matched with errors.Is; the text is
// fit for a log line and holds no secret.
var (
	// ErrSignature: the signature does not fit the account's Token. Not from WeChat, or the Token was changed.
	ErrSignature = errors.New("the signature of the push does not match the account's Token")
	// ErrStale: the timestamp is missing or too far from now, so it may be a replay.
	ErrStale = errors.New("the timestamp of the push is too old or not a time")
	// ErrMode: the push is encrypted and the account is not set up for it, or the other way round.
	ErrMode = errors.New("the push does not come in the message mode set for the account")
	// ErrCipher: the ciphertext is truncated, altered, or made with a key we do not have.
	ErrCipher = errors.New("the push cannot be decrypted")
	// ErrAppID: the ciphertext is sound but was made for another account.
	ErrAppID = errors.New("the push was encrypted for another appid")
	// ErrMarkup: DOCTYPE, entities or processing instructions, which WeChat never sends.
	ErrMarkup = errors.New("the push holds a DOCTYPE, an entity or a processing instruction")
	// ErrTooLarge: the body is over MaxBody, or has too many or too deeply nested fields.
	ErrTooLarge = errors.New("the push is too large")
	// ErrMalformed: the body is not the XML or JSON of a push.
	ErrMalformed = errors.New("the push is malformed")
	// ErrKey: the account's EncodingAESKey is missing or unusable: a fault of our configuration.
	ErrKey = errors.New("the account's EncodingAESKey is missing or unusable")
)

// MaxBody is the most bytes of a push that are read.
const MaxBody = 1 << 20
