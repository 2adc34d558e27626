package api

import (
	"slices"

	"github.com/danielgtaylor/huma/v2"
)

// allowNull says in the document what huma does: null is as good as leaving out an
// optional property of a body.
func allowNull(document *huma.OpenAPI) {
	for _, path := range document.Paths {
		for _, op := range []*huma.Operation{path.Post, path.Put, path.Patch} {
			if op == nil || op.RequestBody == nil {
				continue
			}
			for _, content := range op.RequestBody.Content {
				body := content.Schema
				if body.Ref != "" {
					body = document.Components.Schemas.SchemaFromRef(body.Ref)
				}
				for name, property := range body.Properties {
					if property.Ref == "" && !slices.Contains(body.Required, name) {
						property.Nullable = true
					}
				}
			}
		}
	}
}
