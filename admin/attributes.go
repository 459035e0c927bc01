package admin

import (
	"context"
	"net/http"

	"hongyan/fans"
	"hongyan/internal/fault"
	"hongyan/internal/lang"
)

// choiceView is one of the values that a fan can have.
type choiceView struct {
	ID   int64  `json:"id,omitempty" minimum:"0" doc:"None for one that is new"`
	Name string `json:"name" minLength:"1" maxLength:"30"`
}

// attributeView is something that an account wants to know of its fans.
type attributeView struct {
	ID        int64              `json:"id"`
	Name      string             `json:"name" doc:"By which rules and imports call it; never changed"`
	Label     string             `json:"label"`
	Type      fans.AttributeType `json:"type" enum:"text,number,date,bool,choice"`
	Choices   []choiceView       `json:"choices,omitempty"`
	CreatedAt int64              `json:"created_at"`
}

func showAttribute(a **fans.Attribute) attributeView {
	x := *a
	out := attributeView{ID: x.ID, Name: x.Name, Label: x.Label, Type: x.Type, CreatedAt: x.CreatedAt}
	for _, c := range x.Choices {
		out.Choices = append(out.Choices, choiceView{ID: c.ID, Name: c.Name})
	}
	return out
}

type (
	attributeIn struct {
		Attribute int64 `path:"attribute"`
	}
	attributeOut struct {
		ETag string `header:"ETag"`
		Body attributeView
	}
	listAttributesIn struct{ PageParams }
)

func attributeAnswer(x *fans.Attribute) *attributeOut {
	return &attributeOut{ETag: etag(x.Revision), Body: showAttribute(&x)}
}

func (a *API) attributeOps() {
	register(a, Op{
		ID: "list-attributes", Method: http.MethodGet, Path: inAccount + "/attributes", Tag: tagFans, Scope: ScopeRead,
		Summary: lang.Text{ZH: "列出自定义属性", EN: "List the attributes, oldest first"},
	}, a.listAttributes)
	register(a, Op{
		ID: "create-attribute", Method: http.MethodPost, Path: inAccount + "/attributes", Tag: tagFans, Scope: ScopeWrite, Status: http.StatusCreated,
		Summary: lang.Text{ZH: "新建自定义属性", EN: "Make an attribute"},
	}, a.createAttribute)
	register(a, Op{
		ID: "get-attribute", Method: http.MethodGet, Path: inAccount + "/attributes/{attribute}", Tag: tagFans, Scope: ScopeRead,
		Summary: lang.Text{ZH: "查看自定义属性", EN: "Show an attribute"},
	}, a.getAttribute)
	register(a, Op{
		ID: "update-attribute", Method: http.MethodPatch, Path: inAccount + "/attributes/{attribute}", Tag: tagFans, Scope: ScopeWrite, Edits: true,
		Summary: lang.Text{ZH: "修改自定义属性", EN: "Change an attribute's label, or rename, sort and add choices"},
	}, a.updateAttribute)
	register(a, Op{
		ID: "delete-attribute", Method: http.MethodDelete, Path: inAccount + "/attributes/{attribute}", Tag: tagFans, Scope: ScopeWrite,
		Summary: lang.Text{ZH: "删除自定义属性", EN: "Delete an attribute with all its values"},
	}, func(ctx context.Context, c *Call, in *attributeIn) (*none, error) {
		return &none{}, a.o.Fans.DeleteAttribute(ctx, c.Account.ID, in.Attribute)
	})
	a.attributeValueOps()
}

// attributeValueOps are what fans' values are changed by.
func (a *API) attributeValueOps() {
	register(a, Op{
		ID: "set-fan-attribute", Method: http.MethodPut, Path: inAccount + "/fans/{fan}/attributes/{attribute}", Tag: tagFans, Scope: ScopeWrite,
		Summary: lang.Text{ZH: "设置粉丝的属性值", EN: "Set an attribute of a fan"},
	}, func(ctx context.Context, c *Call, in *setFanAttributeIn) (*none, error) {
		return &none{}, a.o.Fans.SetAttribute(ctx, c.Account.ID, in.Attribute, in.Body.Value, []int64{in.Fan})
	})
	register(a, Op{
		ID: "unset-fan-attribute", Method: http.MethodDelete, Path: inAccount + "/fans/{fan}/attributes/{attribute}", Tag: tagFans, Scope: ScopeWrite,
		Summary: lang.Text{ZH: "清除粉丝的属性值", EN: "Take an attribute's value from a fan"},
	}, func(ctx context.Context, c *Call, in *fanAttributeIn) (*none, error) {
		return &none{}, a.o.Fans.UnsetAttribute(ctx, c.Account.ID, in.Attribute, []int64{in.Fan})
	})
	register(a, Op{
		ID: "set-attribute", Method: http.MethodPost, Path: inAccount + "/attributes/{attribute}/values", Tag: tagFans, Scope: ScopeWrite,
		Summary: lang.Text{ZH: "批量设置属性值", EN: "Set an attribute of several fans to the same value"},
	}, func(ctx context.Context, c *Call, in *setAttributeIn) (*none, error) {
		return &none{}, a.o.Fans.SetAttribute(ctx, c.Account.ID, in.Attribute, in.Body.Value, in.Body.FanIDs)
	})
	register(a, Op{
		ID: "unset-attribute", Method: http.MethodPost, Path: inAccount + "/attributes/{attribute}/values/remove", Tag: tagFans, Scope: ScopeWrite,
		Summary: lang.Text{ZH: "批量清除属性值", EN: "Take an attribute's value from several fans"},
	}, func(ctx context.Context, c *Call, in *unsetAttributeIn) (*none, error) {
		return &none{}, a.o.Fans.UnsetAttribute(ctx, c.Account.ID, in.Attribute, in.Body.FanIDs)
	})
}

type (
	fanAttributeIn struct {
		Fan       int64 `path:"fan"`
		Attribute int64 `path:"attribute"`
	}
	setFanAttributeIn struct {
		Fan       int64 `path:"fan"`
		Attribute int64 `path:"attribute"`
		Body      struct {
			Value string `json:"value" minLength:"1" maxLength:"200" doc:"A text; -12.5; 2026-03-04; true or false; the name of a choice"`
		}
	}
	setAttributeIn struct {
		Attribute int64 `path:"attribute"`
		Body      struct {
			Value  string  `json:"value" minLength:"1" maxLength:"200"`
			FanIDs []int64 `json:"fan_ids" minItems:"1" maxItems:"10000"`
		}
	}
	unsetAttributeIn struct {
		Attribute int64 `path:"attribute"`
		Body      struct {
			FanIDs []int64 `json:"fan_ids" minItems:"1" maxItems:"10000"`
		}
	}
)

// listAttributes pages through the attributes in memory: an account has at most fans.MaxAttributes.
func (a *API) listAttributes(ctx context.Context, c *Call, in *listAttributesIn) (*pageOut[attributeView], error) {
	return paged(c, in.PageParams, func(after *int64, n int) (out []*fans.Attribute, err error) {
		all, err := a.o.Fans.FindAttributes(ctx, c.Account.ID)
		for _, x := range all {
			if (after == nil || x.ID > *after) && len(out) < n {
				out = append(out, x)
			}
		}
		return out, err
	}, func(x **fans.Attribute) int64 { return (*x).ID }, showAttribute)
}

type createAttributeIn struct {
	Body struct {
		Name    string             `json:"name" minLength:"1" maxLength:"32" example:"member_level"`
		Label   string             `json:"label" minLength:"1" maxLength:"30"`
		Type    fans.AttributeType `json:"type" enum:"text,number,date,bool,choice"`
		Choices []string           `json:"choices,omitempty" maxItems:"100" doc:"Of type choice"`
	}
}

func (a *API) createAttribute(ctx context.Context, c *Call, in *createAttributeIn) (*attributeOut, error) {
	b := &in.Body
	x, err := a.o.Fans.CreateAttribute(ctx, c.Account.ID, fans.NewAttribute{Name: b.Name, Label: b.Label, Type: b.Type, Choices: b.Choices})
	if err != nil {
		return nil, err
	}
	return attributeAnswer(x), nil
}

func (a *API) getAttribute(ctx context.Context, c *Call, in *attributeIn) (*attributeOut, error) {
	x, err := a.o.Fans.FindAttribute(ctx, c.Account.ID, in.Attribute)
	if err != nil {
		return nil, err
	}
	return attributeAnswer(x), nil
}

type updateAttributeIn struct {
	Attribute int64 `path:"attribute"`
	Body      struct {
		Label   *string       `json:"label,omitempty" minLength:"1" maxLength:"30"`
		Choices *[]choiceView `json:"choices,omitempty" minItems:"1" maxItems:"100" doc:"All of them, in their new order. None may be missing: fans may have it"`
	}
}

func (a *API) updateAttribute(ctx context.Context, c *Call, in *updateAttributeIn) (*attributeOut, error) {
	patch := fans.AttributePatch{Label: in.Body.Label}
	if in.Body.Choices != nil {
		patch.Choices = []fans.Choice{}
		for _, x := range *in.Body.Choices {
			patch.Choices = append(patch.Choices, fans.Choice{ID: x.ID, Name: x.Name})
		}
	}
	var x *fans.Attribute
	err := c.Edit(ctx, func(ctx context.Context, revision int64) error {
		found, err := a.o.Fans.FindAttribute(ctx, c.Account.ID, in.Attribute)
		switch {
		case err != nil:
			return err
		case found.Revision != revision:
			return fault.New(fault.Conflict, "the attribute was changed meanwhile; look at it again")
		}
		x, err = a.o.Fans.UpdateAttribute(ctx, found, patch)
		return err
	}, func(ctx context.Context) (int64, error) {
		found, err := a.o.Fans.FindAttribute(ctx, c.Account.ID, in.Attribute)
		if err != nil {
			return 0, err
		}
		return found.Revision, nil
	})
	if err != nil {
		return nil, err
	}
	return attributeAnswer(x), nil
}

// fanValues are the attributes of a fan as they are read and set.
func (a *API) fanValues(ctx context.Context, c *Call, fan int64) ([]valueView, error) {
	values, err := a.o.Fans.AttributesOf(a.o.DB.Read(ctx), c.Account.ID, []int64{fan})
	if err != nil {
		return nil, err
	}
	all, err := a.o.Fans.FindAttributes(ctx, c.Account.ID)
	if err != nil {
		return nil, err
	}
	byID := make(map[int64]*fans.Attribute, len(all))
	for _, x := range all {
		byID[x.ID] = x
	}
	out := []valueView{}
	for _, v := range values[fan] {
		if x := byID[v.AttributeID]; x != nil {
			out = append(out, valueView{AttributeID: x.ID, Name: x.Name, Label: x.Label, Value: x.Format(v.Value)})
		}
	}
	return out, nil
}
