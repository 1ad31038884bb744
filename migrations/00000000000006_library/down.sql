drop table asset_thumbnails, assets;
