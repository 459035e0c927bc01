package fans

import "gorm.io/gorm"

// ChangeTag gives a tag of our own to fans, or takes it from them, within tx: for steps of drips. A tag of the platform is changed by the job TagKind, since
// the platform has to be told first. Who is no fan of the account, or erased, is left out; whom it does not change, too. Errors: NotFound for the tag.
func (s *Store) ChangeTag(tx *gorm.DB, accountID, tagID int64, fanIDs []int64, remove bool) error {
	return s.tagHere(tx, accountID, tagChange{tagID: tagID, remove: remove}, fanIDs)
}
