package accounts

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/fault"
)

// The states of an authorisation. noted → authorised ⇄ withdrawn, and noted → withdrawn.
const (
	stateNoted      = "noted" // a code or a refresh token has come, and no account is connected yet
	stateAuthorised = "authorised"
	stateWithdrawn  = "withdrawn" // by the owner, or by a member who went back to the manual connection
)

// ReasonWithdrawn is why an account is stopped whose owner has withdrawn. An authorisation lifts this stop, and no other.
const ReasonWithdrawn = "withdrawn"

// reasonRefused is why a sender stops an account when the platform's refusal tells of the withdrawal before its event does.
const reasonRefused = "platform_61003"

// authorisation is what the owner of one account granted one component, as the table keeps it. Times are the platform's, in unix ms of whole seconds.
type authorisation struct {
	ID            int64 `gorm:"primaryKey"`
	ComponentID   int64
	Appid         string
	AccountID     int64 // 0 while no account is connected
	State         string
	RefreshToken  []byte
	PreviousToken []byte
	Permissions   string
	AuthorisedAt  int64 // the latest time at which the account is known to have been authorised
	WithdrawnAt   int64 // the latest withdrawal, also when the account is authorised again
	Code          []byte
	CodeHash      string // of the newest code, also when it is used up
	CodeAt        int64
	DueAt         int64 // when the code is to be exchanged, by our clock; 0 when there is nothing to do
	Tries         int
	EraseDue      bool // the owner withdrew, and whoever erases the fans' data has not been told
	UpdatedAt     int64

	before string // the state when it was locked
}

// TableName implements gorm's Tabler.
func (*authorisation) TableName() string { return "authorisations" }

// readAuthorisation is the query of whole rows, up to its condition.
const readAuthorisation = "SELECT id, component_id, appid, account_id, state, refresh_token, previous_token, permissions, authorised_at, withdrawn_at," +
	" code, code_hash, code_at, due_at, tries, erase_due, updated_at FROM authorisations WHERE "

// findAuthorisation returns nil when there is none.
func findAuthorisation(tx *gorm.DB, componentID int64, appID string) (*authorisation, error) {
	var found []authorisation
	err := tx.Raw(readAuthorisation+"component_id = ? AND appid = ?", componentID, appID).Scan(&found).Error
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// lockAuthorisation makes the row, if it is new, and locks it until the transaction ends.
func lockAuthorisation(tx *gorm.DB, dialect database.Dialect, componentID int64, appID string, now int64) (*authorisation, error) {
	if appID == "" || len(appID) > 32 {
		return nil, fault.BadField("appid", "length", "an account's AppID has 1 to 32 characters")
	}
	for made := false; ; made = true {
		var found []authorisation
		err := tx.Raw(readAuthorisation+"component_id = ? AND appid = ?"+dialect.ForUpdate(), componentID, appID).Scan(&found).Error
		switch {
		case err != nil:
			return nil, fmt.Errorf("lock an authorisation: %w", err)
		case len(found) > 0:
			a := &found[0]
			a.before = a.State
			// An empty value is read as nil, which would be written, and compared, as NULL.
			a.RefreshToken, a.PreviousToken, a.Code = filled(a.RefreshToken), filled(a.PreviousToken), filled(a.Code)
			return a, nil
		case made:
			return nil, fault.New(fault.Internal, "the authorisation of %s by component %d is gone", appID, componentID)
		}
		err = tx.Exec(dialect.InsertIgnore()+
			" authorisations (component_id, appid, state, refresh_token, previous_token, code, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
			componentID, appID, stateNoted, []byte{}, []byte{}, []byte{}, now).Error
		if err != nil {
			return nil, fmt.Errorf("make an authorisation: %w", err)
		}
	}
}

func filled(b []byte) []byte { return append([]byte{}, b...) }

// save writes back a row that is locked: everything but the refresh tokens, which ComponentStore writes and which a withdrawal deletes.
func (a *authorisation) save(tx *gorm.DB, now int64) error {
	res := tx.Exec("UPDATE authorisations SET account_id = ?, state = ?, permissions = ?, authorised_at = ?, withdrawn_at = ?,"+
		" code = ?, code_hash = ?, code_at = ?, due_at = ?, tries = ?, erase_due = ?, updated_at = ? WHERE id = ? AND state = ?",
		a.AccountID, a.State, a.Permissions, a.AuthorisedAt, a.WithdrawnAt, a.Code, a.CodeHash, a.CodeAt, a.DueAt, a.Tries, a.EraseDue, now, a.ID, a.before)
	if res.Error == nil && res.RowsAffected == 0 {
		return fault.New(fault.Conflict, "the authorisation of %s changed meanwhile", a.Appid)
	}
	return res.Error
}

// forgetTokens deletes the refresh tokens.
func (a *authorisation) forgetTokens(tx *gorm.DB) error {
	return tx.Exec("UPDATE authorisations SET refresh_token = ?, previous_token = ? WHERE id = ?", []byte{}, []byte{}, a.ID).Error
}

// settle notes that nothing is left to do about a code.
func (a *authorisation) settle() { a.Code, a.DueAt, a.Tries = []byte{}, 0, 0 }

// hashCode is what a code is known by once it is used up.
func hashCode(code string) string {
	sum := sha256.Sum256([]byte(code))
	return hex.EncodeToString(sum[:])
}
